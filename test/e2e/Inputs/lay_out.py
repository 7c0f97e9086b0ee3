# SPDX-License-Identifier: Apache-2.0
#
# Writes a plan that lays the work out over ranks: lay_out.py plan.json KEY=VALUE... prints the plan with these values;
# keys with a dot lie in an object (pipeline.ranks=2).

import json
import sys

plan = json.load(open(sys.argv[1]))
for setting in sys.argv[2:]:
    key, value = setting.split("=", 1)
    try:
        value = json.loads(value)
    except ValueError:
        pass  # a word
    *objects, last = key.split(".")
    place = plan
    for name in objects:
        place = place.setdefault(name, {})
    place[last] = value
print(json.dumps(plan))
