"""A report in sentences, for the screen."""

from typing import Any

from agrifm.codes import listed


def report_lines(report: dict[str, Any]) -> list[str]:
    """Describe a report in sentences: warnings, accuracy, and each class's area with its interval."""
    low, high = report["overall_accuracy"]["interval"]
    lines = [f"warning: {warning}" for warning in report["warnings"]] + [f"note: {note}" for note in report["notes"]]
    lines.append(report["trust"]["sentence"])
    lines.append(f"overall accuracy {report['overall_accuracy']['estimate']:.3f} ({low:.3f} to {high:.3f})")
    for entry in report["areas"]:
        low, high = entry["interval_ha"]
        lines.append(
            f"{entry['name']}: mapped {entry['mapped_ha']:.1f} ha, estimated {entry['area_ha']:.1f} ha "
            f"({low:.1f} to {high:.1f})"
        )
    lines += _composite_lines(report.get("composite"))
    lines += [line for district in report.get("districts", []) for line in _district_lines(district)]
    return [*lines, *(line for level in report.get("levels", []) for line in _level_lines(level))]


def _composite_lines(composite: dict[str, Any] | None) -> list[str]:
    if composite is None:
        return []
    about = f"parcels ({composite['declared_ha']:.1f} ha) and {composite['points']} points outside them"
    areas = [
        f"{area['name']} {area['area_ha']:.1f} ha ({area['interval_ha'][0]:.1f} to {area['interval_ha'][1]:.1f})"
        for area in composite["areas"]
    ]
    return [f"{about}: {', '.join(areas)}"]


def _district_lines(district: dict[str, Any]) -> list[str]:
    about = f"{district['code']} ({district['points']} points)"
    if district["areas"] is None:
        return [f"{about}: too few points"]
    parts = [f"{area['name']} {area['area_ha']:.1f} ha" for area in district["areas"] if area["area_ha"] > 0]
    return [f"{about}: estimated {', '.join(parts)}"]


def _level_lines(level: dict[str, Any]) -> list[str]:
    low, high = level["overall_accuracy"]["interval"]
    areas = [f"{entry['name']} {entry['area_ha']:.1f} ha" for entry in level["areas"]]
    accuracy = f"overall accuracy {level['overall_accuracy']['estimate']:.3f} ({low:.3f} to {high:.3f})"
    alone = f"; no class above {listed(level['without_parent'])}" if level["without_parent"] else ""
    return [f"{level['level']}: {accuracy}; estimated {', '.join(areas)}{alone}"]
