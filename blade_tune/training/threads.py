"""How many CPU threads a training takes."""

import torch

AVAILABLE = torch.get_num_threads()  # the machine's cores, or what OMP_NUM_THREADS says
SMALL_STEP = 200_000  # numbers in the states of a step; docs/performance.md has the measurement


def use_all_threads(threads: int | None = None) -> None:
    """Set torch's threads to all available ones, or to those of an earlier attempt."""
    torch.set_num_threads(threads or AVAILABLE)


def use_threads(batch_size: int, max_length: int, embedding_size: int, threads: int | None = None) -> int:
    """Set torch's threads to all available ones, or to one where a step is small; gives their number.

    Small steps gain little from a second thread, and lose half their speed to it on a machine with other work, where
    each of many short operations waits for the slower thread. It is a function of the configuration alone, since sums
    on a CPU depend on the number of threads; `threads` is that of an earlier attempt, where there was one.
    """
    if threads is None:
        threads = 1 if batch_size * max_length * embedding_size < SMALL_STEP else AVAILABLE
    torch.set_num_threads(threads)
    return threads
