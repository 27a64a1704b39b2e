#!/bin/bash
# Serves Ollama models from one slot, and says the truth about it. Needs what Ollama's image has: bash, coreutils, ollama.
#
#   model.sh fetch    have the node's cache pull the models, and wait until they are there (init container)
#   model.sh serve    start the server, load the models wholly on the GPU, end if that fails, and keep them as they are
#   model.sh ready    succeed if every model is loaded wholly on the GPU, within what is promised (startup and readiness probe)
#   model.sh alive    succeed if the server answers, whatever is loaded: that is mended without a restart (liveness probe)
#
# MODELS: names as Ollama shows them (`mistral:7b`), separated by blanks. DIGESTS: for each name the sha256 of its
# manifest, or `-`. PROMISED_MIB: GPU memory that the pod's slot or claim promises; without it nobody looks. CACHE: host of
# the node's cache. PULLED_BY: the version of Ollama there. OLLAMA_MODELS: folder of the weights, read only. HOME: scratch.
set -uo pipefail

readonly PORT=${OLLAMA_PORT:-11434} HERE=127.0.0.1 LOADED=${HOME:-/tmp}/loaded LAST_WORDS=${HOME:-/tmp}/last-words
readonly TOO_MUCH=2

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

# is_wanted MODEL DIGEST: succeed if its manifest is there, and the one that is wanted (`-`: any).
is_wanted() {
  local found
  [[ -r $(manifest "$1") ]] || return 1
  [[ $2 == - ]] || { found=$(sha256sum <"$(manifest "$1")") && [[ ${found%% *} == "$2" ]]; }
}

# mark MODEL: name under which the cache also has a model that this version of Ollama pulled. What an older one pulled is
# pulled again, of which Ollama downloads only what differs.
mark() { local name=${1%:*}; echo "pulled-by-${PULLED_BY//./-}/${name//\//-}:${1##*:}"; }

fetch() {
  local -a wanted
  read -ra wanted <<<"${DIGESTS-}"
  local model answer pause index=0 digest
  for model in $MODELS; do
    digest=${wanted[$index]:--}
    index=$((index + 1))
    pause=1
    until is_wanted "$model" "$digest" && [[ -z ${PULLED_BY-} || -r $(manifest "$(mark "$model")") ]]; do
      if answer=$(request "$CACHE" POST /api/pull "{\"model\":\"$model\",\"stream\":false}"); then
        if [[ -r $(manifest "$model") ]]; then # with another digest than is wanted: check_weights says so
          [[ -z ${PULLED_BY-} ]] || request "$CACHE" POST /api/copy \
            "{\"source\":\"$model\",\"destination\":\"$(mark "$model")\"}" >/dev/null
          break
        fi
        answer="the cache has it, but $(manifest "$model") does not appear"
      elif is_wanted "$model" "$digest"; then
        say "$model is there, but cannot be refreshed: ${answer:-$CACHE does not answer}"
        break
      fi
      say "waiting for $model from $CACHE: ${answer:-it does not answer}"
      sleep "$pause"
      pause=$((pause < 8 ? pause * 2 : 10))
    done
  done
  check_weights
}

# load MODEL: all layers on the GPU (num_gpu), and a batch that does not grow with the context, or nothing. Models for
# embeddings do not generate; they are loaded as requests to them would, whose batch is the context's.
load() {
  local answer
  answer=$(request "$HERE" POST /api/generate \
    "{\"model\":\"$1\",\"stream\":false,\"options\":{\"num_gpu\":999,\"num_batch\":512}}") && return
  if [[ $answer == *"does not support generate"* ]]; then
    answer=$(request "$HERE" POST /api/embed "{\"model\":\"$1\",\"input\":\"\",\"options\":{\"num_gpu\":999}}") && return
  fi
  echo "$answer"
  return 1
}

# keeps_promise ANSWER: fail if what /api/ps shows takes more of the GPU than PROMISED_MIB. Ollama counts weights, cache and
# buffers, and not CUDA's own part: what is above the promise by this count is above it indeed.
keeps_promise() {
  local rest=$1 one bytes=0 shown=
  [[ -n ${PROMISED_MIB-} ]] || return 0
  while [[ $rest == *'{"name":"'* ]]; do
    rest=${rest#*'{"name":"'}
    one=${rest%%'{"name":"'*}
    [[ $one =~ \"size_vram\":([0-9]+) ]] && bytes=$((bytes + BASH_REMATCH[1]))
    [[ $one =~ \"context_length\":([0-9]+) ]] && shown+="${shown:+, }${one%%\"*} with context ${BASH_REMATCH[1]}"
  done
  ((bytes > PROMISED_MIB * 1048576)) || return 0
  say "$shown: $(((bytes + 1048575) / 1048576)) MiB of the GPU, of which $PROMISED_MIB are promised to this pod; others have the rest"
  return 1
}

# on_gpu: succeed if /api/ps shows every model with `size_vram` equal to `size`, and with the context that it was loaded
# with (CONTEXTS: once they are known). TOO_MUCH where all that is loaded takes more than is promised.
on_gpu() {
  local running model rest size vram context contexts=()
  running=$(request "$HERE" GET /api/ps) || return 1
  keeps_promise "$running" || return "$TOO_MUCH"
  for model in $MODELS; do
    rest=${running#*"{\"name\":\"$model\","}
    if [[ $rest == "$running" ]]; then
      [[ ${1-} == loudly ]] && say "$model is not loaded"
      return 1
    fi
    [[ $rest =~ \"size\":([0-9]+), ]] && size=${BASH_REMATCH[1]} || size=0
    [[ $rest =~ ^[^\{]*(\{[^\}]*\})?[^\{]*\"size_vram\":([0-9]+) ]] && vram=${BASH_REMATCH[2]} || vram=0
    [[ $rest =~ ^[^\{]*(\{[^\}]*\})?[^\{]*\"context_length\":([0-9]+) ]] && context=${BASH_REMATCH[2]} || context=0
    contexts+=("$context")
    if ((size == 0 || vram != size)); then
      say "$model has only $vram of its $size bytes on the GPU; the rest would be computed by the CPU"
      return 1
    fi
  done
  FOUND=${contexts[*]}
  [[ -z ${CONTEXTS-} || $FOUND == "$CONTEXTS" ]]
}

# give_up SERVER WHY: end it, so that the pod begins anew. WHY is said at once, and again as the last that the container says,
# which Kubernetes keeps as the message of its end.
give_up() {
  say "$2"
  echo "$2" >"$LAST_WORDS"
  kill -TERM "$1"
}

# keep SERVER: as long as it lives, load again what a request unloaded (keep_alive), or loaded with another context or
# fewer layers on the GPU (num_ctx, num_gpu, another model). What is loaded as it should be is left alone. Three times in
# vain, and the server is ended. So it is at once where the pod takes more than is promised: Ollama would load again only
# when the request has been answered, and the memory is somebody else's.
keep() {
  local model answer said status tries=0
  while sleep 1 && kill -0 "$1" 2>/dev/null; do
    said=$(on_gpu loudly 2>&1)
    status=$?
    if ((status == 0)); then
      tries=0
      continue
    fi
    said=${said#gpu-slices: }
    if ((status == TOO_MUCH)); then
      give_up "$1" "$said; restarting"
      return
    fi
    request "$HERE" GET / >/dev/null || continue
    if ((++tries > 3)); then
      give_up "$1" "$MODELS: cannot be loaded as before: ${answer:-$said}"
      return
    fi
    say "a request unloaded or changed $MODELS: loading as before"
    for model in $MODELS; do answer=$(load "$model") && answer=; done
  done
}

serve() {
  local server model answer
  rm -f "$LOADED" "$LAST_WORDS"
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
  CONTEXTS=$FOUND
  echo "$CONTEXTS" >"$LOADED"
  say "$MODELS: loaded, all of it on the GPU"
  keep "$server" &
  local keeper=$!
  local status=0
  while kill -0 "$server" 2>/dev/null; do # a signal interrupts `wait`
    wait "$server"
    status=$?
  done
  kill "$keeper" 2>/dev/null
  if [[ -s $LAST_WORDS ]]; then
    say "$(<"$LAST_WORDS")"
    exit 1
  fi
  exit "$status"
}

case ${1-} in
  fetch) fetch ;;
  serve) serve ;;
  ready) CONTEXTS=$(cat "$LOADED" 2>/dev/null) && on_gpu ;;
  alive) request "$HERE" GET / >/dev/null ;;
  *) say "usage: model.sh fetch|serve|ready|alive"; exit 64 ;;
esac
