#!/bin/bash
# Serves Ollama models from one slot, and says the truth about it. Needs what Ollama's image has: bash, coreutils, ollama.
#
#   model.sh fetch    have the node's cache pull the models, and wait until they are there (init container)
#   model.sh serve    start the server, load the models wholly on the GPU, and end if that fails
#   model.sh ready    succeed if every model is loaded wholly on the GPU (probes)
#
# MODELS: names as Ollama shows them (`mistral:7b`), separated by blanks. DIGESTS: for each name the sha256 of its
# manifest, or `-`. CACHE: host of the node's cache. OLLAMA_MODELS: folder of the weights, read only. HOME: scratch.
set -uo pipefail

readonly PORT=${OLLAMA_PORT:-11434} HERE=127.0.0.1 LOADED=${HOME:-/tmp}/loaded

say() { echo "gpu-slices: $*" >&2; }

# request HOST METHOD PATH [BODY]: print the answer's body; succeed on status 200. The image has no HTTP client.
request() {
  local host=$1 method=$2 path=$3 body=${4-} status line
  {
    exec 3<>"/dev/tcp/$host/$PORT" || return 1
  } 2>/dev/null
  printf '%s %s HTTP/1.0\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
    "$method" "$path" "$host" "${#body}" "$body" >&3
  IFS= read -r status <&3 || return 1
  while IFS= read -r line <&3 && [[ $line != $'\r' ]]; do :; done
  cat <&3
  exec 3>&-
  [[ $status == "HTTP/1."?" 200"* ]]
}

# manifest NAME: where Ollama keeps what a model consists of.
manifest() {
  local name=${1%:*} tag=${1##*:}
  case $name in
    */*/*) ;;
    */*) name=registry.ollama.ai/$name ;;
    *) name=registry.ollama.ai/library/$name ;;
  esac
  echo "$OLLAMA_MODELS/manifests/$name/$tag"
}

# check_weights: fail unless every model is there, in the version that is wanted.
check_weights() {
  local -a wanted
  read -ra wanted <<<"${DIGESTS-}"
  local index=0 model file found
  for model in $MODELS; do
    file=$(manifest "$model")
    if [[ ! -r $file ]]; then
      say "$model is not there: $file is missing"
      return 1
    fi
    found=$(sha256sum <"$file")
    if [[ ${wanted[$index]:--} != - && ${wanted[$index]} != "${found%% *}" ]]; then
      say "$model has digest ${found%% *}, but ${wanted[$index]} is wanted"
      return 1
    fi
    index=$((index + 1))
  done
}

fetch() {
  local model answer pause
  for model in $MODELS; do
    pause=1
    until [[ -r $(manifest "$model") ]]; do
      if answer=$(request "$CACHE" POST /api/pull "{\"model\":\"$model\",\"stream\":false}"); then
        [[ -r $(manifest "$model") ]] && break
        answer="the cache has it, but $(manifest "$model") does not appear"
      fi
      say "waiting for $model from $CACHE: ${answer:-it does not answer}"
      sleep "$pause"
      pause=$((pause < 8 ? pause * 2 : 10))
    done
  done
  check_weights
}

# load MODEL: all layers on the GPU (num_gpu), and a batch that does not grow with the context, or nothing.
load() {
  request "$HERE" POST /api/generate \
    "{\"model\":\"$1\",\"stream\":false,\"options\":{\"num_gpu\":999,\"num_batch\":512}}"
}

# on_gpu: succeed if /api/ps shows every model with `size_vram` equal to `size`.
on_gpu() {
  local running model rest size vram
  running=$(request "$HERE" GET /api/ps) || return 1
  for model in $MODELS; do
    rest=${running#*"{\"name\":\"$model\","}
    if [[ $rest == "$running" ]]; then
      [[ ${1-} == loudly ]] && say "$model is not loaded"
      return 1
    fi
    [[ $rest =~ \"size\":([0-9]+), ]] && size=${BASH_REMATCH[1]} || size=0
    [[ $rest =~ ^[^\{]*(\{[^\}]*\})?[^\{]*\"size_vram\":([0-9]+) ]] && vram=${BASH_REMATCH[2]} || vram=0
    if ((size == 0 || vram != size)); then
      say "$model has only $vram of its $size bytes on the GPU; the rest would be computed by the CPU"
      return 1
    fi
  done
}

serve() {
  local server model answer
  rm -f "$LOADED"
  check_weights || exit 1
  ollama serve &
  server=$!
  trap 'kill -TERM "$server" 2>/dev/null' TERM INT
  until request "$HERE" GET / >/dev/null; do
    kill -0 "$server" 2>/dev/null || { say "the server ended before it answered"; exit 1; }
    sleep 0.1
  done
  for model in $MODELS; do
    # In the background, so that the pod's end is not held up by a load.
    answer=$(mktemp)
    load "$model" >"$answer" &
    if ! wait $!; then
      say "$model cannot be loaded: $(<"$answer")"
      kill -TERM "$server"
      exit 1
    fi
    rm -f "$answer"
  done
  if ! on_gpu loudly; then
    kill -TERM "$server"
    exit 1
  fi
  : >"$LOADED"
  say "$MODELS: loaded, all of it on the GPU"
  local status=0
  while kill -0 "$server" 2>/dev/null; do # a signal interrupts `wait`
    wait "$server"
    status=$?
  done
  exit "$status"
}

case ${1-} in
  fetch) fetch ;;
  serve) serve ;;
  ready) [[ -e $LOADED ]] && on_gpu ;;
  *) say "usage: model.sh fetch|serve|ready"; exit 64 ;;
esac
