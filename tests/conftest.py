"""What all tests share: examples that are the same in every run, and one thread, which tiny tensors prefer."""

import torch
from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")
torch.set_num_threads(1)
