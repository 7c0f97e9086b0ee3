// SPDX-License-Identifier: Apache-2.0
//
// All of the hadal dialect, for tablegen and the reference.

#ifndef HADAL_DIALECTS_HADAL_HADALOPS_TD
#define HADAL_DIALECTS_HADAL_HADALOPS_TD

include "dialects/Hadal/Attention.td"
include "dialects/Hadal/Exchange.td"
include "dialects/Hadal/Experts.td"
include "dialects/Hadal/Layers.td"
include "dialects/Hadal/Loss.td"
include "dialects/Hadal/MultiToken.td"
include "dialects/Hadal/Optimizer.td"
include "dialects/Hadal/Program.td"
include "dialects/Hadal/Scaled.td"

#endif // HADAL_DIALECTS_HADAL_HADALOPS_TD
