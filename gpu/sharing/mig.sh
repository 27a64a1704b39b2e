#!/bin/bash
# gpu-slices-mig PROFILE COUNT: cuts every GPU of this machine into COUNT MIG instances of PROFILE, or fails.
#
# Run by gpu-slices-mig.service at every boot, before the kubelet may start, because instances do not outlive a reboot
# and on Hopper and later the mode does not either (NVIDIA MIG User Guide, "Getting Started with MIG"). Whatever state
# the GPUs are in, it brings them to the one that is wanted and looks at it; what is right already stays as it is.
set -uo pipefail
profile=$1 count=$2

# Seconds until it gives up. The EKS AMI installs the kernel modules at boot, which takes a minute or two; Karpenter ends
# a node that has not registered after 15 minutes.
LIMIT_S=300
PAUSE_S=5
# Longest that one nvidia-smi may take: a driver in trouble does not answer at all.
CALL_S=120
PCI=/sys/bus/pci/devices
REBOOTED=/var/lib/gpu-slices-mig/rebooted

why="nothing was tried"
smi() { timeout "$CALL_S" nvidia-smi "$@" 2>&1; }
last_line() { tail -n 1 <<<"$1"; }

refuse() {
  echo "THIS NODE DOES NOT JOIN THE CLUSTER: its GPUs are not cut into $count x $profile each: $why"
  echo "Karpenter ends it 15 minutes after its start and tries again; until then: journalctl -b -u gpu-slices-mig"
}

# NVIDIA's display and 3D controllers (PCI classes 0300 and 0302); its NVSwitches are bridges.
gpus_on_the_bus() {
  local device gpus=0
  for device in "$PCI"/*; do
    if [[ $(<"$device/vendor") == 0x10de && $(<"$device/class") == 0x030[02]* ]]; then gpus=$((gpus + 1)); fi
  done
  echo "$gpus"
}

# Indexes of GPUs that are not in MIG mode now; a question mark where the driver does not say.
without_mode() {
  local modes
  modes=$(smi --query-gpu=index,mig.mode.current --format=csv,noheader) || { echo '?'; return; }
  awk -F ', *' '$1 ~ /^[0-9]+$/ && $2 != "Enabled" { print $1 }' <<<"$modes"
}

# Indexes of GPUs in an `nvidia-smi -L` that have anything but COUNT instances of PROFILE.
wrongly_cut() {
  awk -v profile="$profile" -v count="$count" '
    /^GPU [0-9]+:/ { gpu = $2 + 0; all[gpu] = right[gpu] = 0 }
    $1 == "MIG" { all[gpu]++; if ($2 == profile) right[gpu]++ }
    END { for (gpu in all) if (all[gpu] != count || right[gpu] != count) print gpu }' <<<"$1" | sort -n
}

driver_shows_all_gpus() {
  local bus listed
  listing=$(smi -L) || { why="the driver does not answer: $(last_line "$listing")"; return 1; }
  bus=$(gpus_on_the_bus)
  listed=$(grep -c '^GPU [0-9]*:' <<<"$listing")
  ((bus > 0 && listed == bus)) || { why="the driver shows $listed GPUs, the PCI bus has $bus"; return 1; }
}

# Ampere takes the mode over when the GPU is reset. The persistence daemon holds the GPUs (NVIDIA/gpu-operator#118) and
# takes the clocks' service with it. The Fabric Manager stays: "On Ampere NVSwitch systems, Fabric Manager is required
# to facilitate reset" (nvidia-smi(1)).
resets=0
reset_gpus() {
  local service stopped=() output
  resets=$((resets + 1))
  for service in nvidia-persistenced set-nvidia-clocks; do
    if systemctl is-active --quiet "$service"; then stopped+=("$service"); fi
  done
  if ((${#stopped[@]})); then systemctl stop "${stopped[@]}"; fi
  output=$(smi --gpu-reset)
  if ((${#stopped[@]})); then systemctl start "${stopped[@]}"; fi
  why="MIG mode is not in effect on GPU $(without_mode | paste -sd ' '): $(last_line "$output")"
}

# Hypervisors may forbid the reset; the mode that Ampere keeps then comes with the next boot (MIG User Guide, "GPU Reset
# on NVIDIA Ampere Architecture GPUs"). Once, as NVIDIA's own nvidia-mig-manager.service does.
reboot_once() {
  if [[ -e $REBOOTED ]]; then return 1; fi
  # Without the mark it might reboot for ever.
  if ! mkdir -p "${REBOOTED%/*}" || ! touch "$REBOOTED"; then return 1; fi
  sync
  echo "$why; rebooting once, so that the mode takes effect"
  trap - EXIT
  systemctl --no-block reboot
  exit 1
}

enable_mode() {
  local output
  [[ -n $(without_mode) ]] || return 0
  output=$(smi -mig 1) || { why="MIG mode cannot be enabled: $(last_line "$output")"; return 1; }
  [[ -n $(without_mode) ]] || return 0
  # Another client of the GPUs may end in a moment; a hypervisor that forbids the reset does not change its mind.
  if ((resets < 3)); then reset_gpus; else reboot_once; fi
  [[ -z $(without_mode) ]]
}

cut_gpu() {
  local instances output
  # Both fail where there is nothing to destroy.
  smi mig -i "$1" -dci >/dev/null
  smi mig -i "$1" -dgi >/dev/null
  instances=$(printf ",$profile%.0s" $(seq "$count"))
  output=$(smi mig -i "$1" -cgi "${instances#,}" -C) || { why="GPU $1: $(last_line "$output")"; return 1; }
}

# One try, from whatever is there; sets `why` where it fails.
cut_all() {
  local gpu listing wrong
  if ! driver_shows_all_gpus || ! enable_mode; then return 1; fi
  for gpu in $(wrongly_cut "$listing"); do cut_gpu "$gpu" || return 1; done
  driver_shows_all_gpus || return 1
  wrong=$(wrongly_cut "$listing" | paste -sd ' ')
  [[ -z $wrong ]] || { why="GPU $wrong: other instances than asked for"; return 1; }
}

trap refuse EXIT
told=
until cut_all; do
  if [[ $why != "$told" ]]; then echo "$why; trying again until ${LIMIT_S} s have passed"; told=$why; fi
  ((SECONDS < LIMIT_S)) || exit 1
  sleep "$PAUSE_S"
done
trap - EXIT
rm -f "$REBOOTED"
echo "every GPU has $count x $profile"
# The toolkit's list of devices is from before the cut, and nothing else renews it (nvidia-mig-manager does the same).
systemctl --no-block restart nvidia-cdi-refresh.service 2>/dev/null
exit 0
