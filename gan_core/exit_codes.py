"""Runs a command of `components` or `pipelines`, and ends it with an exit code.

| exit code | meaning | examples |
|---|---|---|
| 0 | done | |
| 1 | a bug in this project, with a traceback; or a training that diverged | |
| 2 | the user's mistake: repeating the command cannot help | a wrong parameter, path or file |
| 75 | an external failure: the same command may succeed later | a full disk, a server that does not answer |
| 130 | Ctrl-C | |
| 141 | whoever read the output has ended | output into `head -1` |

`gan_core.errors.failure_of` classifies the operating system's errors.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from gan_core.errors import InvalidInput, TryAgain, failure_of
from gan_core.printing import fail, guard_output


def run(main: Callable[[], None]) -> None:
    """Runs a command's main function. After a failure, prints one sentence on stderr and exits with its code."""
    guard_output()
    try:
        main()
        sys.stdout.flush()
    except InvalidInput as error:
        fail(2, error)
    except TryAgain as error:
        fail(75, error)
    except KeyboardInterrupt:
        fail(130, "Interrupted.")
    except BrokenPipeError:
        # The interpreter would write the rest of the output again at its end, and print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        failure = failure_of(error)
        if failure is None:
            raise
        fail(2 if isinstance(failure, InvalidInput) else 75, failure)
