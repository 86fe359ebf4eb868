"""The number of CPU threads that a training or a fit uses."""

import torch

AVAILABLE = torch.get_num_threads()  # the machine's cores, or what OMP_NUM_THREADS says
# Numbers in the states of a step below which it is small; docs/performance.md has the measurement
SMALL_STEP = 200_000


def use_all_threads(threads: int | None = None) -> None:
    """Set the number of torch's CPU threads to `threads`, that of an earlier attempt, or if None to all available."""
    torch.set_num_threads(threads or AVAILABLE)


def use_threads(
    batch_size: int, max_length: int, embedding_size: int, threads: int | None = None
) -> int:
    """Set the number of torch's CPU threads, and return it: all that are available, or one where a step is small.

    Small steps gain little from a second thread, and lose half their speed to it on a machine with other work, where
    each of many short operations waits for the slower thread. The choice depends on the configuration alone, since sums
    on a CPU depend on the number of threads.

    Args:
        batch_size: users per step.
        max_length: L, the window length.
        embedding_size: D.
        threads: number of threads of an earlier attempt of the training, to use again; None to choose.
    """
    if threads is None:
        is_small = batch_size * max_length * embedding_size < SMALL_STEP
        threads = 1 if is_small else AVAILABLE
    torch.set_num_threads(threads)
    return threads
