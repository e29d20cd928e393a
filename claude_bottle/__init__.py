"""The `bottle` command: a thin layer over what the rooms beside this package do.

The rooms (`components`, `addons`, …) are those of the checkout that this package is in. A wheel holds what a checkout
does in its folder `checkout`, so that they are top-level packages of this program and of nobody else's.
"""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
INSTALLED = (_HERE / "checkout").is_dir()
ROOT = _HERE / "checkout" if INSTALLED else _HERE.parent
if str(ROOT) not in sys.path:
    # Before all else: a folder of a user's project may have the name of a room.
    sys.path.insert(0, str(ROOT))
