"""The rooms of the program, and the `bottle` command over all of them.

From below: `policy` and `dlp`, which images copy whole; `manifest`; `host`, `presets`, `engines`, `workspace`,
`provision`, `plan`, `checks`, `runs`, `approvals`, `upkeep`; on top `cli`. `tests/arch/test_arrows.py` has which may
import which.

The folders beside this package (`components`, `addons`, `dashboard`, `toolchain`) are those of the checkout that it is
in. A wheel holds all that a checkout does in a folder of this package, `checkout`: there are the rooms too, for images
are built from them, and they are top-level packages of this program and of nobody else's.
"""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
ROOT = _HERE / "checkout" if (_HERE / "checkout").is_dir() else _HERE.parent
INSTALLED = not (ROOT / "bottle").is_file()  # the command of a checkout, which no wheel has
__path__[:] = [str(ROOT / "claude_bottle")]
if str(ROOT) not in sys.path:
    # Before all else: a folder of a user's project may have the name of a room.
    sys.path.insert(0, str(ROOT))
