"""A plan in words and as a table."""

from agrifm.plan.forecast import StepForecast
from agrifm.plan.project_plan import ProjectPlan


def plan_lines(plan: ProjectPlan) -> list[str]:
    """Return the plan for people: first what it needs in all, then scenes by month, then the steps."""
    return [*_in_short(plan), "", *_scenes(plan), "", *_steps(plan), "", *_notes(plan)]


def _in_short(plan: ProjectPlan) -> list[str]:
    moved = sum(step.moved_bytes for step in plan.steps)
    kept = sum(step.disk_bytes for step in plan.steps)
    most = max(sum(one.disk_bytes for one in plan.steps[: n + 1]) + step.scratch_bytes
               for n, step in enumerate(plan.steps))  # fmt: skip
    memory = max(step.memory_bytes for step in plan.steps)
    seconds = sum(step.seconds for step in plan.steps)
    machines = "this machine" if plan.workers == 1 else f"{plan.workers} machines like this one"
    download = f"{size_words(moved)} of download" if moved else "no download"
    lines = [
        f"{plan.hectares:,.0f} ha, {plan.season[0]} to {plan.season[1]}, on {machines} with {plan.cores} cores",
        f"this needs {download}, {size_words(max(kept, most))} of disk, {size_words(memory)} of memory, "
        f"about {time_words(seconds)}",
    ]
    if plan.prices is not None:
        total = sum(plan.cost(step) or 0.0 for step in plan.steps)
        lines.append(f"it costs about {total:,.2f} {plan.prices.currency}, with one month of storage")
    return lines


def _scenes(plan: ProjectPlan) -> list[str]:
    months = sorted({month for sensor in plan.sensors for month in sensor.scenes})
    rows = [["scenes by month", *months, "all"]]
    for sensor in plan.sensors:
        counts = [sensor.scenes.get(month, 0) for month in months]
        rows.append([f"{sensor.sensor}", *(str(count) for count in counts), str(sum(counts))])
        usable = [sensor.usable.get(month, 0.0) for month in months]
        rows.append(["  usable per pixel", *(f"{count:.1f}" for count in usable), f"{sum(usable):.1f}"])
    return aligned(rows)


def _steps(plan: ProjectPlan) -> list[str]:
    head = ["step", "requests", "download", "read", "disk kept", "disk while", "memory", "time"]
    money = plan.prices is not None
    rows = [[*head, plan.prices.currency] if plan.prices is not None else head]
    for step in plan.steps:
        rows.append(_row(step) + ([f"{plan.cost(step):,.2f}"] if money else []))
    return aligned(rows)


def _row(step: StepForecast) -> list[str]:
    return [
        step.name,
        f"{step.requests:,}",
        size_words(step.moved_bytes),
        size_words(step.read_bytes),
        size_words(step.disk_bytes),
        size_words(step.scratch_bytes),
        size_words(step.memory_bytes),
        time_words(step.seconds),
    ]


def _notes(plan: ProjectPlan) -> list[str]:
    return [*plan.notes, *(f"{step.name}: {note}" for step in plan.steps for note in step.notes)]


def aligned(rows: list[list[str]]) -> list[str]:
    """Return the lines of a table; the first column is text, the others are numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) if not n else cell.rjust(width) for n, (cell, width) in enumerate(
            zip(row, widths, strict=True)))
        for row in rows
    ]  # fmt: skip


def size_words(size: float) -> str:
    """Return bytes in units that people use: 14 GB, 9.2 GB, 350 MB."""
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= 0.9995 * length:
            number = size / length
            return f"{number:.0f} {unit}" if number >= 9.95 else f"{number:.1f} {unit}"
    return "0" if size < 0.5 else f"{size:.0f} B"


def time_words(seconds: float) -> str:
    """Return a duration as people say it: 40 s, 12 min, 2.5 h, 3 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    if hours < 48:
        return f"{hours:.1f} h" if hours < 9.95 else f"{hours:.0f} h"
    return f"{hours / 24:.0f} days"
