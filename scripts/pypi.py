"""What scripts take from PyPI: Python packages in prefixes outside the repository, and single wheels as archives."""

import hashlib
import io
import json
import os
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path


def prefix(name):
    """Returns a folder outside the repository; PLANNER_DEPS names the one around it, as in scripts/deps."""
    return Path(os.environ.get("PLANNER_DEPS", Path.home() / ".cache/planner-deps")) / name


def installed(name, *packages):
    """Returns a prefix in which Python has these packages."""
    folder = prefix(name)
    if not (folder / "ready").exists():
        subprocess.run(["python3", "-m", "venv", folder], check=True)
        install = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *packages], check=True)
        (folder / "ready").touch()
    return folder


def wheel(project, filename, sha256):
    """Returns a wheel as an archive, where it is the one with this digest."""
    request = urllib.request.Request(f"https://pypi.org/simple/{project}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    try:
        files = json.load(urllib.request.urlopen(request, timeout=60))["files"]
        urls = [file["url"] for file in files if file["filename"] == filename]
        if not urls:
            sys.exit(f"error: PyPI has no {filename}")
        data = urllib.request.urlopen(urls[0], timeout=600).read()
    except OSError as error:
        sys.exit(f"error: PyPI did not answer: {error}")
    if hashlib.sha256(data).hexdigest() != sha256:
        sys.exit(f"error: {filename} is not the file that this script was written for")
    return zipfile.ZipFile(io.BytesIO(data))
