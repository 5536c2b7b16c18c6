# shellcheck shell=bash
# What the scripts share. Sourced, not run.

say() { printf '%s\n' "$*" >&2; }

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# pip_install DIRECTORY REQUIREMENT...: installs Python packages into a directory of their own, without a
# virtual environment and without touching the machine's Python.
pip_install() {
    local directory=$1 output
    shift
    command -v python3 >/dev/null || die "python3 is not installed: install Python 3.11 or newer, with pip"
    python3 -m pip --version >/dev/null 2>&1 ||
        die "pip is not installed for $(command -v python3): install it (Debian: apt-get install python3-pip)"
    output=$(PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check \
        --upgrade --target "$directory" "$@" 2>&1) || {
        printf '%s\n' "$output" >&2
        die "pip could not install $*: what it said is above; check the network and pip's configuration, then run it again"
    }
}
