# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the scripts people run: phases with their times. `phase NAME` ends the phase before it and starts one;
# `phase_times` ends the last one and prints them all.

phase_names=()
phase_seconds=()
phase_start=0

phase_end() {
  if [ ${#phase_names[@]} -gt ${#phase_seconds[@]} ]; then
    phase_seconds+=($((SECONDS - phase_start)))
  fi
}

phase() {
  phase_end
  phase_names+=("$1")
  phase_start=$SECONDS
  echo "== $1 =="
}

phase_times() {
  phase_end
  local index line="time:"
  for index in "${!phase_names[@]}"; do
    line+=" ${phase_names[$index]} ${phase_seconds[$index]} s,"
  done
  echo "$line in all $SECONDS s on $(nproc) cores"
}
