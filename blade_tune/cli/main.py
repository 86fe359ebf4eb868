"""Start of the program: signals, standard streams and secrets in arguments, dealt with before the slow imports.

Importing the rest takes a while, and a signal or a look at the list of processes may come before it is done.
"""

import signal
import sys

SOON_S = 0.02  # until a signal is sent again
# Environment variable with the typed arguments, for the process that hides them
ARGUMENTS = "_BLADE_TUNE_ARGUMENTS"


def main() -> None:
    """Run the program.

    A Ctrl-C or SIGTERM at any moment ends it with an exit code instead of a traceback, and closed standard streams do
    no harm.
    """
    received: list[int] = []

    def stop(number: int, _: object) -> None:
        """End the program at once; commands that must store something first replace this handler."""
        from blade_tune.errors import PreemptedError

        received.append(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise PreemptedError("stopped; run the same command again.")

    # A shell starts background jobs with SIGINT ignored, for no Ctrl-C is meant for them.
    ignores_interrupts = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    numbers = (signal.SIGTERM,) if ignores_interrupts else (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, stop) for number in numbers}
    hook, sys.unraisablehook = sys.unraisablehook, send_again
    try:
        open_closed_streams()
        hide_secrets()
        from blade_tune.cli.program import run_program

        run_program()
    except SystemExit:
        raise
    except BaseException:  # of any class: an interrupted import may fail with an error of its own
        from blade_tune.errors import InterruptedStudyError, PreemptedError

        if not received:
            raise
        is_interrupt = received[0] == signal.SIGINT
        error = InterruptedStudyError if is_interrupt else PreemptedError
        sys.exit(error.exit_code)
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def send_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Send a signal again whose handler raised inside a callback, such as that of a weak reference.

    Python only prints exceptions of such callbacks, so the signal would otherwise end nothing.
    """
    import os
    import threading

    from blade_tune.errors import PreemptedError

    number = None
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        number = signal.SIGINT
    elif isinstance(unraisable.exc_value, PreemptedError):
        number = signal.SIGTERM
    if number is None:
        sys.__unraisablehook__(unraisable)
    else:
        threading.Timer(SOON_S, os.kill, (os.getpid(), number)).start()


def open_closed_streams() -> None:
    """Open /dev/null in place of each closed standard stream.

    Otherwise the next file that is opened, such as a database, gets the stream's number, and so all that is printed.
    """
    import os

    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number)
            os.set_inheritable(number, True)  # for processes that are started from here
            if null != number:
                os.close(null)
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            stream = os.fdopen(number, mode, encoding="utf-8", closefd=False)
            setattr(sys, name, stream)


def hide_secrets() -> None:
    """Hide secrets of URLs from the arguments that the system's list of processes shows to all users.

    If a URL with a secret was typed, the process replaces itself (`execve`) by one with redacted arguments, which gets
    the typed ones through its environment.
    """
    import json
    import os

    from blade_tune.redact import redacted_value

    typed = json.loads(os.environ.pop(ARGUMENTS, "[]"))
    if typed and redacted_value(typed) == sys.argv[1:]:
        sys.argv[1:] = typed
        return
    shown = redacted_value(sys.orig_argv)
    # Where a test calls this function, its process was started with other arguments and must go on.
    num_own = len(sys.argv) - 1
    has_own_arguments = sys.argv[1:] == sys.orig_argv[len(sys.orig_argv) - num_own :]
    if shown != sys.orig_argv and has_own_arguments and sys.executable:
        env = {**os.environ, ARGUMENTS: json.dumps(sys.argv[1:])}
        os.execve(sys.executable, shown, env)  # noqa: S606 - this program itself
