"""The `bottle` command: a thin layer over what the rooms beside this package do, all of one checkout."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / "Pulumi.yaml").is_file():
    sys.exit("bottle works from a checkout of claude-bottle: run ./bottle there, or `pip install -e` that folder")
if str(ROOT) not in sys.path:  # an editable install knows this package alone
    sys.path.insert(0, str(ROOT))
