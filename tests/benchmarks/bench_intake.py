"""Speed and memory of intake for CSV, beside pandas.read_csv of the same file in the same run.

Each figure comes from a process of its own, since memory is measured as the peak of a process. Prints a table
and writes bench/intake.json. Run by ``make bench-intake``, from the root of the repository.
"""

from __future__ import annotations

import csv
import json
import platform
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (50_000, 1_000_000)
SEED = 20_240_101
MAPPING = """
schema_version = 1
name = "bench-intake"
description = "A generated register"
contract_version = "1"
period = { first = 2015, last = 2025 }
[file]
delimiter = ";"
[fields.case_id]
column = "Номер на дело"
[fields.victim_id]
column = "Жертва"
[fields.registration_date]
column = "Дата"
formats = ["%d.%m.%Y", "%m/%Y", "%Y"]
[fields.sex]
column = "Пол"
values = { "ж" = "Feminine", "м" = "Masculine" }
[fields.age_band]
column = "Възраст"
number = true
[fields.citizenship]
column = "Гражданство"
[fields.country_of_exploitation]
constant = "BG"
[fields.means_of_control]
column = "Контрол"
separator = "|"
values = { "дълг" = "DebtBondage", "заплахи" = "PhysicalThreats", "документи" = "WithholdsDocuments" }
[fields.forms_of_exploitation]
flags = [
  { column = "Сексуална", value = "SexualExploitation", present = ["да"], absent = ["не"] },
  { column = "Труд", value = "ForcedLabour", present = ["да"], absent = ["не"] },
  { column = "Просия", value = "ForcedBegging", present = ["да"], absent = ["не"] },
]
[[identifiers]]
type = "phone"
owner = "Exploiter"
column = "Телефон"
"""
HEADER = (
    "Номер на дело",
    "Жертва",
    "Дата",
    "Пол",
    "Възраст",
    "Гражданство",
    "Контрол",
    "Сексуална",
    "Труд",
    "Просия",
    "Телефон",
    "Бележки",
)


def generate(path: Path, rows: int) -> None:
    """A register of ``rows`` rows in ``HEADER``'s columns; one row in a hundred is wrong."""
    chance = random.Random(SEED)
    flags, countries = ("да", "не", ""), ("BG", "RO", "UA", "NG", "VN", "")
    controls = ("", "дълг", "дълг|заплахи", "документи|дълг|заплахи")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(HEADER)
        for row in range(rows):
            day = f"{chance.randint(1, 28):02d}.{chance.randint(1, 12):02d}.{chance.randint(2015, 2025)}"
            writer.writerow(
                (
                    f"Д-{row // 2:07d}",
                    f"Ж-{row:07d}",
                    "31.02.2020" if chance.random() < 0.01 else day,
                    chance.choice("жм"),
                    chance.randint(1, 60),
                    chance.choice(countries),
                    chance.choice(controls),
                    *chance.choices(flags, k=3),
                    f"+3598{chance.randint(0, 9_999_999):08d}" if chance.random() < 0.3 else "",
                    "препратена от полицията; без документи",
                )
            )


def measure(method: str, path: Path) -> None:
    """In a process of its own: read ``path`` and print seconds and peak memory in MiB as JSON."""
    import resource  # noqa: PLC0415 (only where it is measured)

    started = time.perf_counter()
    if method == "pandas.read_csv":
        import pandas as pd  # noqa: PLC0415 (the other method must not pay for it)

        started = time.perf_counter()
        pd.read_csv(path, sep=";", dtype=str, keep_default_na=False)
    else:
        from safeborders_fed.cases.intake import import_file  # noqa: PLC0415 (see above)
        from safeborders_fed.cases.keys import NodeKeys  # noqa: PLC0415
        from safeborders_fed.cases.mapping import parse_mapping  # noqa: PLC0415
        from safeborders_fed.cases.store import CaseStore  # noqa: PLC0415

        with tempfile.TemporaryDirectory() as directory:
            store = CaseStore.create(Path(directory) / "store", NodeKeys.generate())
            started = time.perf_counter()
            import_file(path, parse_mapping(MAPPING, "bench"), store)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "mib": peak}))


def compare(rows: int, directory: Path) -> list[dict[str, object]]:
    """All figures for one size."""
    path = directory / f"{rows}.csv"
    generate(path, rows)
    found: list[dict[str, object]] = []
    size = path.stat().st_size
    conditions = f"Python {platform.python_version()}, one process, {len(HEADER)} columns, {size:,} bytes"
    for method in ("ours", "pandas.read_csv"):
        command = [sys.executable, __file__, "--measure", method, str(path)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        result = json.loads(output)
        figures = {
            "seconds": result["seconds"],
            "rows per second": rows / result["seconds"],
            "mib": result["mib"],
        }
        for figure, value in figures.items():
            found.append(
                {
                    "case": f"csv rows={rows}",
                    "method": method,
                    "figure": figure,
                    "value": round(value, 3),
                    "conditions": conditions,
                }
            )
    path.unlink()
    return found


def main() -> None:
    """Measure all sizes, print the table and write the file."""
    with tempfile.TemporaryDirectory() as directory:
        found = [entry for rows in SIZES for entry in compare(rows, Path(directory))]
    lines = [f"{'case':<20} {'figure':<16} {'ours':>12} {'pandas.read_csv':>16} {'ratio':>7}"]
    values = {(entry["case"], entry["figure"], entry["method"]): entry["value"] for entry in found}
    for (case, figure, method), ours in values.items():
        if method == "ours":
            peer = values[case, figure, "pandas.read_csv"]
            lines.append(f"{case:<20} {figure:<16} {ours:>12,} {peer:>16,} {ours / peer:>7.2f}")
    sys.stdout.write("\n".join(lines) + "\n")
    Path("bench").mkdir(exist_ok=True)
    Path("bench/intake.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
