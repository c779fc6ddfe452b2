# What the scripts here share, to be sourced with the repository's root as the working directory: Debian packages
# that are missing, and the virtual environment.

# Run a command as root, by sudo where we are not.
as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "Not root, and no sudo to run: $*" >&2
        return 1
    fi
}

# need COMMAND=PACKAGE ...: install the Debian packages of the commands (or files) that are missing. The services that some of
# them bring are neither started nor enabled: nothing may listen on port 22 because of us.
need() {
    local missing=() pair
    for pair in "$@"; do
        case $pair in
        ensurepip=*) python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=("${pair#*=}") ;;
        /*) [[ -e ${pair%%=*} ]] || missing+=("${pair#*=}") ;;
        *) PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}") ;;
        esac
    done
    [[ ${#missing[@]} -eq 0 ]] && return
    if ! command -v apt-get >/dev/null; then
        echo "Please install what Debian calls ${missing[*]}, then run this again." >&2
        return 1
    fi
    echo "Installing ${missing[*]}"
    (
        guard=/usr/sbin/policy-rc.d
        if [[ ! -e $guard ]]; then
            trap 'as_root rm -f "$guard"' EXIT
            printf '#!/bin/sh\nexit 101\n' | as_root tee "$guard" >/dev/null
            as_root chmod 755 "$guard"
        fi
        as_root apt-get -qq update
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
    )
    if command -v systemctl >/dev/null; then
        [[ " ${missing[*]} " != *" openssh-server "* ]] || as_root systemctl -q disable ssh.service || true
        [[ " ${missing[*]} " != *" tinysshd "* ]] || as_root systemctl -q disable tinysshd.socket || true
    fi
}

# make_venv [EXTRA]: .venv with pyssh in it, editable, with the optional dependencies of that name. Nothing happens
# when that was done for this pyproject.toml and this python3 before.
make_venv() {
    local extra=${1:-} stamp state
    stamp=.venv/installed${extra:+-$extra}
    state=$(python3 --version && cat pyproject.toml)
    if [[ -x .venv/bin/python && -f $stamp && $(<"$stamp") == "$state" ]]; then
        return
    fi
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "pyssh needs Python 3.11 or newer; python3 here is $(python3 --version)." >&2
        return 1
    fi
    echo "Installing pyssh into .venv"
    .venv/bin/python -c 'import pip' 2>/dev/null || python3 -m venv --clear .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check -e ".${extra:+[$extra]}"
    printf '%s\n' "$state" >"$stamp"
}
