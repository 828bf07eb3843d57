# shellcheck shell=bash
# Sourced by run: gets what the two parts are made of, once, into the cache. A
# folder in the cache is complete when it holds the file `complete`, which is
# written last: an interrupted download is started again from nothing.
# Reads here, repository, cache.
# shellcheck disable=SC2154

# DynamoDB Local comes as a zip without versions from AWS; this npm package
# carries a known version of it (1.25.1) under a checksum. Its licence allows
# running it, not passing it on: it is fetched here and never committed.
dynamodb_package=amplify-dynamodb-simulator
dynamodb_package_version=2.9.30
dynamodb_sha256=3503ffac19f183407909fecdacf4db51ab1fdad1da7b2f177016670b2d80e4b9
# Installs the rest in seconds where pip takes a minute.
uv_version=0.13.9

dynamodb_folder() { echo "$cache/dynamodb-$dynamodb_package_version"; }
python_folder() { echo "$cache/python-$(sha256sum <"$here/requirements.txt" | cut -c1-12)"; }

# Several clones may share the cache: one fills it, the others wait. In a
# subshell, so that the lock ends with it.
with_cache_lock() {
  (
    exec 7>"$cache/lock"
    flock -n 7 || say "somebody else fills $cache: waiting"
    flock -w 900 7 || die "$cache/lock has been held for 15 minutes: look with 'fuser $cache/lock' and end it"
    "$@"
  )
}

fetch_dynamodb() {
  if ! command -v java >/dev/null || ! command -v curl >/dev/null; then
    "$repository/tests/setup/packages" dynamodb
  fi
  [ -e "$(dynamodb_folder)/complete" ] || with_cache_lock download_dynamodb
}

download_dynamodb() {
  local folder scratch archive
  folder=$(dynamodb_folder) scratch=$cache/dynamodb.download
  [ ! -e "$folder/complete" ] || return 0
  command -v npm >/dev/null || "$repository/tests/setup/packages" npm
  say "downloading DynamoDB Local (54 MB)"
  rm -rf "$folder" "$scratch"
  mkdir -p "$scratch"
  archive=$scratch/$dynamodb_package-$dynamodb_package_version.tgz
  (cd "$scratch" && npm pack --silent --cache "$scratch/npm" "$dynamodb_package@$dynamodb_package_version" >/dev/null) ||
    die "npm could not get $dynamodb_package $dynamodb_package_version: its own message is above; a copy of the folder $folder from another machine does as well"
  echo "$dynamodb_sha256  $archive" | sha256sum --check --quiet - ||
    die "$dynamodb_package $dynamodb_package_version is not the file that was pinned: nobody should run it before knowing why"
  mkdir -p "$folder"
  tar -xzf "$archive" -C "$folder" --strip-components=2 package/emulator
  touch "$folder/complete"
  rm -rf "$scratch"
}

fetch_localstack() {
  command -v curl >/dev/null || "$repository/tests/setup/packages" localstack
  [ -e "$(python_folder)/complete" ] || with_cache_lock install_localstack
}

install_localstack() {
  local folder python
  folder=$(python_folder)
  [ ! -e "$folder/complete" ] || return 0
  if ! find_python >/dev/null; then
    "$repository/tests/setup/packages" localstack
  fi
  python=$(find_python) ||
    die "no Python 3.11 with venv: LocalStack's pinned packages need it. Debian 12 has it; elsewhere name one with MAEL_TEST_PYTHON, or use $here/compose.yml"
  say "installing LocalStack with $python"
  rm -rf "$folder"
  "$python" -m venv "$folder"
  if "$folder/bin/pip" install -q --disable-pip-version-check "uv==$uv_version" &&
    "$folder/bin/uv" pip install -q --compile-bytecode --python "$folder/bin/python" -r "$here/requirements.txt"; then
    :
  else
    say "uv did not work here: using pip, which takes a minute"
    "$folder/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt" >&2 ||
      die "pip could not install $here/requirements.txt: its own message is above"
  fi
  touch "$folder/complete"
}

# A Python 3.11 that can make environments.
find_python() {
  local candidate
  for candidate in ${MAEL_TEST_PYTHON:+"$MAEL_TEST_PYTHON"} /usr/bin/python3.11 python3.11 python3; do
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}
