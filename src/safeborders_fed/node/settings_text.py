"""The text of a new node's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from safeborders_fed.cases.wrapping import Protection

TEMPLATE: Final = """\
# Settings of one node. Keep this file with the node; it holds no secret.

# The member state whose case data this node serves (ISO 3166-1 alpha-2).
country = "{country}"

# The file with the node's secrets: outside this directory, readable by the node's user only (mode 600).
# Back it up apart from the data: without it the case store cannot be opened by anybody.
key_file = {key_file}

# What that file is under: "none" (its mode alone), "passphrase", or "kms" (a key that a key service unwraps,
# by the command that SAFEBORDERS_KMS_COMMAND names). docs/case-store.md says how to choose and to change it.
{protection}

# The file with the node's signing key: what other nodes know it by. Outside this directory, mode 600.
signing_key_file = {signing_key_file}

# The file with the key that opens the way to the coordinator. Outside this directory, mode 600.
transport_key_file = {transport_key_file}

# The directory of the encrypted case store, relative to this file.
store = "store"

# Public keys (64 hexadecimal digits) of the coordinator's operators, compared with them in person or by
# telephone, and how many of them must have signed a model before it is used here. Without a key none is.
# Studies are shown under the signature of one of them, or, without a key, of the bundle's operators.
# operator_keys = ["..."]
# operator_signatures = 1

# Whether the other states may read whether this one has approved or refused a study, and the reason's word.
# No names of people leave. It is information for them and permits nothing.
# share_reviews = false

# What this node permits. Without a policy it takes part in nothing: remove the marks and set each value.
# docs/policy.md explains each key; `safeborders node policy check` says in plain words what was written.
# [policy]
# analyses = ["logistic", "trends"]
# columns = ["age_band", "sex", "registration_date", "forms_of_exploitation", "trafficking_status"]
# purposes = ["victim-identification", "statistics"]
# populations = ["all", "minors"]
# epsilon_per_study = 1.0
# epsilon_per_year = 2.2
# epsilon_lifetime = 8.0
# delta = 1e-6
# minimum_participants = 5
# Victims that a study's population must have here, tested on a noised count that costs a little; 0: no test.
# least_victims = 100
# Of how many other states, together with the coordinator, a study must withstand.
# least_tolerated_colluders = 1
# Answers leave at multiples of a study's tick, since time tells size: longer than an answer takes here.
# least_tick_seconds = 1.0
# When studies are taken on; one under way goes on to its end. Without these two lines, at any time.
# opening_hours = ["Mon-Fri 08:00-18:00"]
# time_zone = "Europe/Sofia"

# Links: finding identifiers that stand in case files of another state, too. Without this table the node takes
# no part in them. docs/policy.md explains each key, docs/links.md what each party learns.
# [links]
# types = ["phone", "email", "account"]
# owners = ["Recruiter", "Exploiter", "Facilitator"]
# purposes = ["investigation"]
# partners = ["BE", "RO"]
# monthly = 2000
# first_load = 20000
# batches_at_once = 4
# approvals_needed = 2
# days_to_answer = 14
# alarm_hits = 20

# How long cases are kept, counted from their registration date, and how many snapshots besides those that
# studies under way hold. Without this nothing is removed but by `safeborders node cases erase`.
# [retention]
# months = 120
# minors_months = 240
# snapshots_kept = 3
# quarantine_days = 30

# How much of the machine one message of the coordinator may take.
# [limits]
# memory_mib = 4096
# seconds_per_message = 900.0
"""


def quoted(path: Path) -> str:
    """A path as TOML writes it."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def protection_text(protection: Protection, passphrase_file: Path | None) -> str:
    """The lines of ``node.toml`` on what the key file is under."""
    line = f'key_protection = "{protection.value}"'
    if protection != Protection.PASSPHRASE:
        return line
    if passphrase_file is None:
        return f'{line}\n# key_passphrase_file = "..."'
    return f"{line}\nkey_passphrase_file = {quoted(passphrase_file)}"
