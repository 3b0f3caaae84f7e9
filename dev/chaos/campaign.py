"""Many runs, one after the other, and what they showed."""

from __future__ import annotations

import itertools
import json
import sys
import traceback
from pathlib import Path

from dev.chaos.draw import Plan, draw
from dev.chaos.house import PROFILES, House
from dev.chaos.oracle import judge
from dev.chaos.run import Run, Story
from dev.guard import ROOT
from dev.output import harmless

#: Logs and results of campaigns; git ignores it.
FOLDER = ROOT / ".chaos"
#: So many runs share a house.
RUNS_A_HOUSE = 25

_numbers = itertools.count(1)


def campaign(seed: int, runs: int, profile: str | None = None) -> list[Story]:
    """Plays the runs of the seeds from this one on, in houses of this kind only if it is given."""
    plans = [draw(each, profile) for each in range(seed, seed + runs)]
    stories: list[Story] = []
    for plan_group in _grouped(plans):
        with House(PROFILES[plan_group[0].profile]) as house:
            for plan in plan_group:
                stories.append(play(house, plan))
                say(stories[-1])
                save(stories, seed, runs)
    broken = sum(bool(story.violations) for story in stories)
    print(f"{len(stories)} runs, {broken} of them broke a promise")
    return stories


def save(stories: list[Story], seed: int, runs: int) -> None:
    """What is known so far, so that a campaign that is broken off isn't lost."""
    FOLDER.mkdir(exist_ok=True)
    results = json.dumps([story.as_json() for story in stories], indent=1, ensure_ascii=False)
    (FOLDER / f"campaign-{seed}-{runs}.json").write_text(results + "\n", "utf-8")


def play(house: House, plan: Plan) -> Story:
    """One run and its judgement; what it leaves in the logs is kept where it broke a promise."""
    run = Run(house, plan, next(_numbers))
    try:
        run.play()
        run.story.violations += judge(run)
    except Exception as error:
        traceback.print_exc()
        run.story.violations.append(f"the campaign failed: {type(error).__name__}")
    if run.story.violations:
        keep(run)
    return run.story


def say(story: Story) -> None:
    """A line a run, and one for each promise that it broke."""
    verdict = "broken" if story.violations else "kept"
    struck = len(story.struck)
    drawn = draw(story.seed).profile == story.plan.profile
    house = "" if drawn else f' HOUSE="{story.plan.profile}"'
    print(
        f"seed {story.seed}: {verdict}; {story.status} after {story.attempts} attempts and "
        f"{story.seconds:.1f} s; {struck} of {len(story.plan.faults)} faults struck; {story.plan}",
        flush=True,
    )
    for violation in story.violations:
        print(f"  VIOLATED {harmless(violation)}\n    make chaos SEED={story.seed} RUNS=1{house}", flush=True)
    sys.stdout.flush()


def keep(run: Run) -> Path:
    """The logs of this run, in a folder that git doesn't see."""
    folder = FOLDER / f"seed-{run.plan.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, log in run.offsets.since().items():
        (folder / f"{name}.log").write_text(log, "utf-8")
    began = run._started
    lines = [f"{run.plan}", *run.story.violations, *run.story.notes]
    lines += [f"{s.at - began:8.3f} {s.fault} hit {s.victim}" for s in run.story.struck]
    lines += [
        f"{e.at - began:8.3f} {e.name} {e.point} {e.args}"
        for e in run.events
        if e.args or e.point not in {"sweep", "swept", "sweep_taken"}
    ]
    (folder / "story.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def _grouped(plans: list[Plan]) -> list[list[Plan]]:
    """Runs of one kind of house together, so that a house is made for many of them."""
    groups: list[list[Plan]] = []
    for name in dict.fromkeys(plan.profile for plan in plans):
        own = [plan for plan in plans if plan.profile == name]
        groups += [own[n : n + RUNS_A_HOUSE] for n in range(0, len(own), RUNS_A_HOUSE)]
    return groups
