"""Every command: its help, its arguments, and the function that it calls. Slow libraries are imported when it runs."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from agrifm import cli_arguments as of
from agrifm import cli_assess_arguments as of_assess
from agrifm.errors import ConfigError, ServeError, require_installed
from agrifm.screen import printable


@dataclass(frozen=True)
class Command:
    """A command: its help, its arguments, and the function that it runs."""

    summary: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def _show(*lines: str) -> None:
    print(printable("\n".join(lines)))


def _init(options: argparse.Namespace) -> None:
    from agrifm.new_project import new_project

    given = options.area, options.year, options.labels, options.column, options.parcels
    _show(*new_project(options.directory, *given, options.task, options.crop))


def _simulate(options: argparse.Namespace) -> None:
    from agrifm.season import Season
    from agrifm.simulator.catalog import simulate

    season = Season(*options.season) if options.season else None
    written = simulate(options.directory, options.region, options.year, options.size, options.seed, season)
    _show(f"wrote {written}")


def _fetch(options: argparse.Namespace) -> None:
    from agrifm.cube.fetch_tiles import fetch_project
    from agrifm.project_cluster import project_on_cluster

    with project_on_cluster(options.project, options.cluster) as (project, executor):
        _show(*fetch_project(project, executor))


def _plan(options: argparse.Namespace) -> None:
    import json

    from agrifm.config import read_project
    from agrifm.plan.make_plan import plan_project
    from agrifm.plan.plan_lines import plan_lines

    plan = plan_project(read_project(options.project), options.workers, options.prices, options.line)
    _show(*([json.dumps(plan.content(), indent=1)] if options.json else plan_lines(plan)))


def _train(options: argparse.Namespace) -> None:
    from agrifm.config import read_project
    from agrifm.train.project import train_project
    from agrifm.train.score_lines import describe_scores

    scores = train_project(project := read_project(options.project))
    kept = [f"kept {name}: nothing that decides it has changed" for name in scores["kept"]]
    _show(*describe_scores(scores), *kept, f"{'wrote' if scores['written'] else 'kept'} {project.models}")


def _compare(options: argparse.Namespace) -> None:
    from agrifm.cluster import open_cluster, shared_path
    from agrifm.train.combination import COMBINATIONS
    from agrifm.train.compare import compare, comparison_lines
    from agrifm.train.learners import LEARNERS

    file = shared_path(options.cluster, options.file)
    with open_cluster(options.cluster, file) as executor:
        content = compare(file, LEARNERS, COMBINATIONS, executor)
    _show(*comparison_lines(content), f"wrote {Path(content['directory']) / 'report.html'}")


def _pretrain(options: argparse.Namespace) -> None:
    from agrifm.cluster import open_cluster, shared_path
    from agrifm.train.pretrain import describe_pretraining, pretrain

    file = shared_path(options.cluster, options.file)
    with open_cluster(options.cluster, file) as executor:
        made = pretrain(file, executor)
    _show(*describe_pretraining(made))


def _samples_info(options: argparse.Namespace) -> None:
    from agrifm.samples.set_info import parsed_choices
    from agrifm.samples.table_info import samples_info

    choices = parsed_choices(options.choice)
    _show(*samples_info(options.file, options.product, options.picture, options.column, choices))


def _map(options: argparse.Namespace) -> None:
    from agrifm.cluster import open_cluster, shared_path
    from agrifm.mapping.again import map_again
    from agrifm.mapping.district_maps import district_lines
    from agrifm.mapping.map_tiles import map_tiles
    from agrifm.mapping.run import map_project
    from agrifm.project_cluster import project_on_cluster

    if options.item is not None and (options.model or options.until or options.districts):
        raise ConfigError("mapping: `--from` says how; remove `--model`, `--until` and `--districts`")
    if options.item is not None:
        item = shared_path(options.cluster, options.item)
        with open_cluster(options.cluster, item) as executor:
            _show(*map_again(item, options.out, executor).lines())
        return
    with project_on_cluster(options.project, options.cluster) as (project, executor):
        make = map_project if project.season.tiles is None else map_tiles
        made = make(project, options.model, options.out, executor=executor, until=options.until)
        _show(*made.lines(), *district_lines(made.path, options.districts, options.district))


def _embed(options: argparse.Namespace) -> None:
    from agrifm.config import read_project
    from agrifm.mapping.embedding_map import embed_project

    project = read_project(options.project)
    _show(*embed_project(project, options.model, options.out, with_zarr=options.zarr).lines())


def _embed_places(options: argparse.Namespace) -> None:
    from agrifm.mapping.embedding_places import embed_places
    from agrifm.vectors import VectorKeys

    stated = VectorKeys(layer=options.layer, crs=options.crs, encoding=options.encoding)
    _show(*embed_places(options.places, options.raster, options.out, stated, options.year))


def _parcels(options: argparse.Namespace) -> None:
    from agrifm.mapping.parcel_districts import DistrictFile
    from agrifm.mapping.parcels import parcels_of_project
    from agrifm.project_cluster import project_on_cluster

    stated = options.districts
    districts = None if stated is None else DistrictFile(stated, options.district, options.report)
    with project_on_cluster(options.project, options.cluster) as (project, executor):
        summary = parcels_of_project(project, options.map, options.out, executor, districts)
    _show(*summary.lines())


def _explain(options: argparse.Namespace) -> None:
    from agrifm.config import read_project
    from agrifm.explain.explanation import Request
    from agrifm.explain.write_explanation import write_explanation

    request = Request(**{field.name: getattr(options, field.name) for field in fields(Request)})
    _show(*write_explanation(read_project(options.project), options.model, options.out, request))


def _assess(options: argparse.Namespace) -> None:
    if options.by_date:
        from agrifm.config import read_project
        from agrifm.train.early_season import assess_by_date

        _show(*assess_by_date(read_project(options.project), options.date, options.level))
        return
    from agrifm.assess.assess_map import AssessRequest, assess_map

    _show(*assess_map(AssessRequest(**{field.name: getattr(options, field.name) for field in fields(AssessRequest)})))


def _compare_maps(options: argparse.Namespace) -> None:
    from agrifm.assess.map_comparison import PairedPoints, compare_maps, map_comparison_lines
    from agrifm.vectors import VectorKeys

    stated = VectorKeys(layer=options.layer, crs=options.crs, encoding=options.encoding)
    points = None
    if options.reference is not None:
        points = PairedPoints(options.reference, options.label, options.later_label, options.sampling, stated)
    found = compare_maps(
        options.map, options.other, options.out, points, options.translate_map, options.translate_other
    )
    _show(*map_comparison_lines(found), f"wrote {options.out / 'comparison.html'}")


def _design(options: argparse.Namespace) -> None:
    from agrifm.assess.design import draw_points, plan
    from agrifm.assess.sampling_design import Design

    design = Design(**{field.name: getattr(options, field.name) for field in fields(Design)})
    if options.out is None:
        _show(*plan(options.map, options.n, design), "nothing was drawn; give the file of the points with --out")
        return
    points = draw_points(options.map, options.n, options.seed, options.out, design)
    _show(
        f"{sum(points.values())} points: " + ", ".join(f"{code} {count}" for code, count in points.items()),
        f"wrote {options.out}; fill its column `label` with the class codes observed on the ground",
    )


def _form(options: argparse.Namespace) -> None:
    from agrifm.assess.form import write_form

    _show(*write_form(options.points, options.map, options.out, options.season, options.also, options.seed))


def _read_form(options: argparse.Namespace) -> None:
    from agrifm.assess.answers import read_form

    labelled = read_form(options.points, options.answers, options.map, options.out, options.also)
    empty = labelled.pop("")
    counted = ", ".join(f"{code} {count}" for code, count in labelled.items())
    _show(f"{sum(labelled.values())} points have a label ({counted}), {empty} have none", f"wrote {options.out}")


def _agree(options: argparse.Namespace) -> None:
    from agrifm.assess.agreement import compare_interpreters
    from agrifm.assess.agreement_lines import agreement_lines

    drawn = options.points, options.map, options.also, options.sampling
    found = compare_interpreters(options.first, options.second, options.out, *drawn, options.third)
    _show(*agreement_lines(found), f"wrote {options.out / 'agreement.json'}")


def _serve(options: argparse.Namespace) -> None:
    if (options.interpreter or options.further) and options.points is None:
        raise ServeError("serving a page: --interpreter and --further are of points to label; give --points too")
    if options.static is not None and options.points is not None:
        raise ServeError(
            "writing a page as files: points are labelled on a served page; leave out --static, or --points"
        )
    if options.static is not None:
        from agrifm.serve.static_page import write_static_page

        print("\n".join(write_static_page(options.directory, options.static, options.also).lines()))
        return
    from agrifm.explain.map_explainer import map_explainer
    from agrifm.serve.run import PointsToLabel, serve

    points, names, further = options.points, options.interpreter, options.further
    to_label = None if points is None else PointsToLabel(points, names, further)
    serve(options.directory, options.host, options.port, options.also, to_label, map_explainer)


def _info(options: argparse.Namespace) -> None:
    from agrifm.inference.compatibility import describe_model

    _show(*describe_model(options.file, options.window))


def _convert(options: argparse.Namespace) -> None:
    require_installed("reading weights", "deep", "torch")
    from agrifm.models.weights.convert import convert_weights

    _show(*convert_weights(options.file, options.out, options.bands, options.window))


def _export(options: argparse.Namespace) -> None:
    require_installed("reading weights", "deep", "torch")
    from agrifm.models.export import export

    _show(*export(options.file, options.out, options.frames, options.side, options.without))


def _check(options: argparse.Namespace) -> None:
    from agrifm.inference.compatibility import check_model

    _show(*check_model(options.file, options.cube))


def _samples_check(options: argparse.Namespace) -> None:
    from agrifm.config import read_project
    from agrifm.train.label_check import check_labels

    _show(*check_labels(read_project(options.project), options.out), f"wrote {options.out}")


def _samples_next(options: argparse.Namespace) -> None:
    from agrifm.config import read_project
    from agrifm.mapping.next_places import write_next_places

    lines = write_next_places(read_project(options.project), options.n, options.out, options.model, options.seed)
    _show(*lines, f"wrote {options.out}; fill its column `label`, and add it to the labels for training")


def _samples_parcels(options: argparse.Namespace) -> None:
    from agrifm.config import read_project
    from agrifm.train.parcel_file import write_parcels
    from agrifm.train.tile_training import write_parcels_of_tiles

    project = read_project(options.project)
    write = write_parcels if project.season.tiles is None else write_parcels_of_tiles
    _show(f"wrote {options.out}", *write(project, options.out, options.inner))


def _translate(options: argparse.Namespace) -> None:
    from agrifm.assess.legend_translation import translate_file
    from agrifm.vectors import VectorKeys

    keys = VectorKeys(layer=options.layer, crs=options.crs)
    _show(*translate_file(options.file, options.source, options.target, options.out, options.column, keys))


def _cube_info(options: argparse.Namespace) -> None:
    from agrifm.cube.info import cube_info

    _show(*cube_info(options.cube, options.picture))


def _cube_check(options: argparse.Namespace) -> None:
    from agrifm.cube.qc.check import cube_check

    _show(*cube_check(options.cube))


def _cube_compact(options: argparse.Namespace) -> None:
    from agrifm.cube.compact import compact_cube

    _show(*compact_cube(options.cube).notes)


def _status(options: argparse.Namespace) -> None:
    from agrifm.status import status

    def forecast(project: Any) -> Any:
        from agrifm.plan.make_plan import plan_project  # takes seconds, and not every project needs it

        return plan_project(project)

    _show(*status(options.project, options.json, forecast))


def _doctor(options: argparse.Namespace) -> None:
    from agrifm.doctor import doctor

    doctor(options.project, _show, options.json)


def _completion(options: argparse.Namespace) -> None:
    from agrifm.completion import completion

    _show(completion(options.shell, options.parsers).rstrip())


def _demo(options: argparse.Namespace) -> None:
    from agrifm.demo import demo

    demo(options.directory, options.small)


COMMANDS = {
    "init": Command("write a commented project file", of.init_arguments, _init),
    "simulate": Command("write a synthetic season: STAC scenes with known truth", of.simulate_arguments, _simulate),
    "plan": Command("forecast what fetch, train, map and parcels will cost", of.plan_arguments, _plan),
    "fetch": Command("build the cube from scenes or local files", of.fetch_arguments, _fetch),
    "train": Command("train models on labels or series, and score them on unseen blocks", of.project_argument, _train),
    "samples info": Command("show what a table or a public set contains", of.samples_info_arguments, _samples_info),
    "compare": Command("compare models on labelled series under one protocol", of.compare_arguments, _compare),
    "pretrain": Command("pretrain AgriFM on shards of series", of.pretrain_arguments, _pretrain),
    "map": Command("map classes and confidence with a trained model", of.map_arguments, _map),
    "embed": Command("write the vector of every pixel by an AgriFM network", of.embed_arguments, _embed),
    "embed places": Command("write the vectors of points or parcels", of.embed_places_arguments, _embed_places),
    "parcels": Command("give each existing parcel its crop, from a finished map", of.parcels_arguments, _parcels),
    "explain": Command("show which dates and bands decided, per class and parcel", of.explain_arguments, _explain),
    "assess": Command("estimate accuracy, areas and production with intervals", of_assess.assess_arguments, _assess),
    "assess design": Command(
        "draw reference points, stratified by map class", of_assess.assess_design_arguments, _design
    ),
    "assess compare": Command(
        "compare two maps, products or seasons", of_assess.assess_compare_arguments, _compare_maps
    ),
    "assess form": Command("write points for interpreters to label", of_assess.assess_form_arguments, _form),
    "assess read-form": Command(
        "write the answers of an interpreter into the points", of_assess.assess_read_form_arguments, _read_form
    ),
    "assess agree": Command("compare the answers of two interpreters", of_assess.assess_agree_arguments, _agree),
    "serve": Command("show a finished season on a page in the browser", of.serve_arguments, _serve),
    "cube info": Command("show what a cube contains and how it was made", of.cube_info_arguments, _cube_info),
    "cube check": Command("check that a cube is complete and plausible; exit 2 if not", of.cube_argument, _cube_check),
    "cube compact": Command("rewrite a cube that grew as one built at once", of.cube_argument, _cube_compact),
    "model info": Command("show what a file of weights contains", of.window_arguments, _info),
    "model convert": Command("convert public weights to safetensors, or back", of.convert_arguments, _convert),
    "model export": Command("export a network as a graph that runs alone: ONNX or .pt2", of.export_arguments, _export),
    "model check": Command("compare what a model expects with what a cube contains", of.model_check_arguments, _check),
    "samples check": Command(
        "list doubtful labels: named twice, in conflict, at sea, likely wrong",
        of.samples_check_arguments,
        _samples_check,
    ),
    "samples next": Command("choose the places to label next", of.samples_next_arguments, _samples_next),
    "samples parcels": Command(
        "write a series table of labelled parcels from the cube", of.samples_parcels_arguments, _samples_parcels
    ),
    "legend translate": Command("translate classes between published legends", of.translate_arguments, _translate),
    "status": Command("show what is done and next; versions, processor, credentials", of.status_arguments, _status),
    "doctor": Command("examine this machine and a project; exit 2 at a fault", of.status_arguments, _doctor),
    "completion": Command("write what completes words in a shell", of.completion_arguments, _completion),
    "demo": Command("run simulate, fetch, train, map and assess, offline", of.demo_arguments, _demo),
}
