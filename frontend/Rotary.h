// SPDX-License-Identifier: Apache-2.0
//
// The rotary part of a config.json, in its old and new spelling. Used by parseModelSpec only.

#ifndef HADAL_FRONTEND_ROTARY_H
#define HADAL_FRONTEND_ROTARY_H

#include "frontend/Json.h"
#include "frontend/ModelSpec.h"

namespace hadal {

/// Reads rope_theta, rope_scaling and rope_parameters into spec.ropeTheta and spec.yarn. The type
/// may stand under `type` or `rope_type`, the base beside or inside; `default` or null means no
/// scaling.
void readRotary(ObjectReader &config, InputReport &report, ModelSpec &spec);

} // namespace hadal

#endif // HADAL_FRONTEND_ROTARY_H
