"""Gunther's law of scalability against rates that were made by it, and what the report says of models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis import Analysis, analyze
from analysis.judge.laws.scaling import ScalabilityFit, fit_scalability
from study.errors import PlanError
from study.plan import Plan, Run, Step, parse_plan
from study.workload import Server
from tests.unit.synthetic import Load, plan, to_toml, write_campaign

TRUE = ScalabilityFit(one_core=1000.0, contention=0.05, coherency=0.002, deviation=0.0)
COUNTS = (1, 2, 4, 8, 16)


def test_rates_made_by_the_law_give_its_parameters_back() -> None:
    found = fit_scalability(COUNTS, [TRUE.rate(each) for each in COUNTS])
    assert found is not None
    assert found.one_core == pytest.approx(1000)
    assert found.contention == pytest.approx(0.05)
    assert found.coherency == pytest.approx(0.002)
    assert found.deviation < 1e-6


def test_rates_that_vary_give_them_back_without_bias() -> None:
    draw = np.random.default_rng(5)
    found = []
    for _ in range(300):
        fit = fit_scalability(COUNTS, [TRUE.rate(each) * np.exp(0.01 * draw.standard_normal()) for each in COUNTS])
        assert fit is not None
        found.append((fit.one_core, fit.contention, fit.coherency))
    one_core, contention, coherency = np.median(np.array(found, dtype=float), axis=0)
    assert one_core == pytest.approx(1000, rel=0.01)
    assert contention == pytest.approx(0.05, rel=0.1)
    assert coherency == pytest.approx(0.002, rel=0.1)


def test_two_core_counts_give_amdahls_law_and_one_gives_none() -> None:
    found = fit_scalability((1, 2), (100.0, 180.0))
    assert found is not None
    assert found.coherency is None
    assert found.contention == pytest.approx(1 / 9)
    assert found.rate(2) == pytest.approx(180)
    assert fit_scalability((4, 4), (100.0, 101.0)) is None
    assert fit_scalability((), ()) is None


def test_more_than_proportional_is_no_negative_contention() -> None:
    found = fit_scalability((1, 2), (100.0, 230.0))
    assert found is not None
    assert found.contention == 0
    assert found.deviation > 0.05


def asked(*cores: int | None, **options: int) -> Plan:
    servers = tuple(
        Server(name=f"pool-{each or 'all'}", model="prefork", cores=each, options=options) for each in cores
    )
    changes = {"models": tuple(each.name for each in servers), "servers": servers}
    return plan(**changes, users=(400, 800), think_time=(0.05, 0.15), aa=False, return_step=False)  # type: ignore[arg-type]


def analysed(directory: Path, made: Plan, full: bool = True) -> Analysis:
    """Each server answers what the law gives for its cores, and is full."""

    def load_of(run: Run, step: Step) -> Load:
        cores = made.server(run.label).cores or 1
        rate = TRUE.rate(cores)
        if not full:
            return Load(seconds=20.0, server_cores=cores)
        response = step.users / rate - made.mean_think_s
        return Load(response=response, spread=0.05, seconds=20.0, server_cores=cores, server_cpu=0.99 * cores)

    write_campaign(directory, made, load_of, idle_of=lambda _run, _step: Load(response=0.001, seconds=2.0))
    tables = "".join(
        f'[[servers]]\nname = "{each.name}"\nmodel = "prefork"\n' + (f"cores = {each.cores}\n" if each.cores else "")
        for each in made.servers
    )
    (directory / "plan.toml").write_text(to_toml(made) + tables, encoding="utf-8")
    return analyze(directory, write=False)


def test_the_report_fits_the_law_where_a_model_was_full_on_several_core_counts(tmp_path: Path) -> None:
    text = analysed(tmp_path, asked(1, 2)).text
    assert "pool-1 and pool-2 on 1 and 2 cores answered" in text
    assert "Amdahl's law through both has" in text
    text = analysed(tmp_path / "three", asked(1, 2, 3)).text
    assert "Gunther's law of scalability has" in text


def test_it_says_nothing_of_one_core_count_nor_of_models_that_were_not_full(tmp_path: Path) -> None:
    for at, (made, full) in enumerate(((asked(2), True), (asked(2, None), True), (asked(1, 2), False))):
        text = analysed(tmp_path / str(at), made, full).text
        assert "Amdahl" not in text
        assert "Gunther" not in text


def test_a_plan_with_no_cores_for_a_server_is_refused() -> None:
    with pytest.raises(PlanError, match=r"cores"):
        parse_plan('name = "x"\nmodels = ["a"]\nusers = [1]\n[[servers]]\nname = "a"\nmodel = "b"\ncores = 0\n', "x")
