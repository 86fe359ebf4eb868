"""The final model: trained anew, tested once, and written as files that need no study."""
