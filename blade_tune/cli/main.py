"""Where the program starts: what must be in order before anything else is imported, which takes a while."""

import signal
import sys

SOON_S = 0.02
ARGUMENTS = "_BLADE_TUNE_ARGUMENTS"  # those that were typed, for the process that shows others


def main() -> None:
    """Run the program, whichever streams are closed; a Ctrl-C or SIGTERM at any moment is no traceback."""
    received: list[int] = []

    def stop(number: int, _: object) -> None:
        """Where nothing has to be stored first."""
        from blade_tune.errors import PreemptedError

        received.append(number)
        raise KeyboardInterrupt if number == signal.SIGINT else PreemptedError("stopped; run the same command again.")

    is_deaf = signal.getsignal(signal.SIGINT) == signal.SIG_IGN  # a background job, which a Ctrl-C does not mean
    numbers = (signal.SIGTERM,) if is_deaf else (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, stop) for number in numbers}
    hook, sys.unraisablehook = sys.unraisablehook, send_again
    try:
        open_closed_streams()
        hide_secrets()
        from blade_tune.cli.program import run_program

        run_program()
    except SystemExit:
        raise
    except BaseException:  # an interrupted import fails in any way
        from blade_tune.errors import InterruptedStudyError, PreemptedError

        if not received:
            raise
        sys.exit((InterruptedStudyError if received[0] == signal.SIGINT else PreemptedError).exit_code)
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def send_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Send a signal again that came inside a callback, of a weak reference say: what is raised there ends nothing."""
    import os
    import threading

    from blade_tune.errors import PreemptedError

    if isinstance(unraisable.exc_value, KeyboardInterrupt | PreemptedError):
        number = signal.SIGINT if isinstance(unraisable.exc_value, KeyboardInterrupt) else signal.SIGTERM
        threading.Timer(SOON_S, os.kill, (os.getpid(), number)).start()
    else:
        sys.__unraisablehook__(unraisable)


def open_closed_streams() -> None:
    """Have /dev/null in place of a standard stream that is closed.

    Else the next file that is opened, be it a database, gets its number, and what is printed.
    """
    import os

    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number)
            os.set_inheritable(number, True)  # processes started from here shall have it
            if null != number:
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def hide_secrets() -> None:
    """Have no secret in the arguments that the list of processes shows.

    Where a URL with one was typed, the process becomes another of the same number, whose arguments show none, and
    which gets those that were typed through its environment.
    """
    import json
    import os

    from blade_tune.redact import redacted_value

    typed = json.loads(os.environ.pop(ARGUMENTS, "[]"))
    if typed and redacted_value(typed) == sys.argv[1:]:
        sys.argv[1:] = typed
        return
    shown = redacted_value(sys.orig_argv)
    is_mine = sys.argv[1:] == sys.orig_argv[len(sys.orig_argv) - len(sys.argv) + 1 :]  # not so where a test calls
    if shown != sys.orig_argv and is_mine and sys.executable:
        env = {**os.environ, ARGUMENTS: json.dumps(sys.argv[1:])}
        os.execve(sys.executable, shown, env)  # noqa: S606 - this program itself
