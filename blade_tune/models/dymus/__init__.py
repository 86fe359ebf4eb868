"""DyMuS and DyMuS+ and the layers that only they use."""
