"""`blade-tune doctor`: finds what is wrong with a machine, a database or a study, and repairs what it can."""
