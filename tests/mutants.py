#!/usr/bin/python3
"""Plants bugs (io/base/mutant.hpp), one at a time, and sees whether the tests notice.

    tests/mutants.py --sample 4            a few, drawn by FIRNLOG_SEED, until one harness notices
    tests/mutants.py --all --write         every one with all of its harnesses; the table in
                                           docs/testing.md is written anew
    tests/mutants.py NAME...               these

A mutant that no harness notices is a missing test and fails the run, unless it is listed as open
with the reason. So does one that is listed as open and is noticed, a name here that is not in the
code or the other way round, and a harness that fails without any bug.
"""

import argparse
import concurrent.futures
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOC = ROOT / "docs" / "testing.md"
BEGIN, END = "<!-- mutants: begin -->", "<!-- mutants: end -->"
# A harness that hangs has noticed; without a bug none of them takes a quarter of this.
SECONDS_MAX = 1200


class Harness(NamedTuple):
    """What may notice a bug: the suite of a test program, tests of the real server, or the crash test
    with a way to die."""
    program: str
    run: str = ""
    fixed: tuple = ()

    def command(self, build, folder):
        if self.program.startswith("e2e/"):
            folder = ROOT / "tests" / "e2e"
            return ["env", f"FIRNLOG={build / 'firnlog'}", f"PYTHONPATH={folder}",
                    "/usr/bin/python3", "-m", "unittest", self.program.removeprefix("e2e/")]
        if self.program != "firnlog":
            return [str(build / "tests" / self.program), f"--run_test={self.run}",
                    "--report_level=no", "--catch_system_errors=no"]
        firnlog = str(build / "firnlog")
        return [firnlog, "crashtest", "--start",
                firnlog + " serve --port {port} --dir {dir} --appendfsync always",
                "--mode", "always", "--quiet", "--dir", folder, *self.fixed]


HARNESSES = {
    "groups": Harness("engine/engine_tests", "groups"),
    "keyspace": Harness("engine/engine_tests", "keyspace"),
    "supply": Harness("engine/engine_tests", "supply"),
    "remover": Harness("engine/engine_tests", "remover"),
    "recycle": Harness("recovery/recovery_tests", "recycled"),
    "history": Harness("engine/engine_tests", "history"),
    "parser": Harness("src_tests", "resp_parser"),
    "expiry": Harness("recovery/recovery_tests", "expired_keys"),
    "gates": Harness("src_world_tests", "gates"),
    "start": Harness("recovery/recovery_tests", "start"),
    "quiet": Harness("src_world_tests", "quiet"),
    "everysec": Harness("src_world_tests", "everysec"),
    "relocation": Harness("recovery/recovery_tests", "relocation"),
    "full_disk": Harness("recovery/recovery_tests", "full_disk"),
    "waiting": Harness("recovery/recovery_tests", "waiting"),
    "past": Harness("recovery/recovery_tests", "past"),
    "sidecars": Harness("recovery/recovery_tests", "sidecars"),
    "restore": Harness("recovery/recovery_tests", "restore_"),
    "backup": Harness("recovery/recovery_tests", "backup_"),
    "new_store": Harness("recovery/recovery_tests", "new_store"),
    "putting_back": Harness("recovery/recovery_tests", "putting_back"),
    "fall_back": Harness("recovery/recovery_tests", "fall_back"),
    "digests": Harness("recovery/recovery_tests", "digests"),
    "archive": Harness("recovery/recovery_tests", "archive_"),
    "vouchers": Harness("recovery/recovery_tests", "corruption/what_is_durable*"),
    "headers": Harness("recovery/recovery_tests", "corruption/no_byte*"),
    "bytes": Harness("recovery/recovery_tests", "corruption/whichever_byte*"),
    "corruption": Harness("recovery/recovery_tests", "corruption"),
    "faults": Harness("recovery/recovery_tests", "faults"),
    "crash": Harness("recovery/recovery_tests", "crash"),
    "kept": Harness("recovery/recovery_tests", "kept"),
    "forget": Harness("recovery/recovery_tests", "forget"),
    "histories": Harness("e2e/test_linearizability"),
    "power": Harness("firnlog", fixed=("--kill", "power", "--cycles", "5", "--load-ms", "200-500")),
}


class Mutant(NamedTuple):
    area: str
    bug: str
    harnesses: tuple      # that should notice, the cheapest first
    must: tuple = ()      # each of these has to notice, not one of all
    open: str = ""        # why nothing notices, as long as that is so


def mutant(area, bug, harnesses, must="", open=""):
    return Mutant(area, bug, tuple(harnesses.split()), tuple(must.split()), open)


MUTANTS = {
    "ack_on_submit": mutant(
        "gate", "a reply leaves before its frame is written", "crash gates power",
        must="crash power"),
    "read_waits_for_nothing": mutant(
        "gate", "a reader is told of what is not durable yet", "gates"),
    "log_never_synced": mutant(
        "fsync", "syncs of the log are not made", "crash power"),
    "everysec_forgets_its_second": mutant(
        "fsync", "everysec never finds its sync overdue", "everysec"),
    "sync_covers_later_writes": mutant(
        "fsync", "a sync counts for writes that completed after it began", "crash everysec gates"),
    "sync_covers_what_others_wrote": mutant(
        "fsync", "a write with a sync counts for an earlier segment's bytes", "faults crash"),
    "fsync_retried": mutant(
        "fsync", "a failed sync is tried again and believed", "faults gates"),
    "fsync_error_ignored": mutant(
        "fsync", "a failed sync counts as one that worked", "faults gates"),
    "write_error_ignored": mutant(
        "log", "a failed write counts as one that worked", "faults"),
    "failed_log_goes_on": mutant(
        "log", "the log takes writes after a failure", "faults gates"),
    "batch_split": mutant(
        "batch", "every record of a batch ends it", "crash"),
    "segment_name_not_synced": mutant(
        "log", "a new segment's name is not made durable", "crash"),
    "frame_without_voucher": mutant(
        "log", "frames do not say what was durable", "vouchers"),
    "frame_vouches_too_far": mutant(
        "log", "a frame says that all before it is durable", "crash faults"),
    "idle_log_not_vouched_for": mutant(
        "log", "no voucher follows the last frame of a burst", "quiet"),
    "group_reads_its_past": mutant(
        "group", "a command does not see its group's writes", "groups gates"),
    "group_without_gate": mutant(
        "group", "a group's replies do not wait for its records", "groups gates"),
    "group_applies_its_first_alone": mutant(
        "group", "the index hears of a group's first record only", "groups crash"),
    "relocation_undoes_a_write": mutant(
        "relocate", "a survivor replaces what was written since it was found", "relocation crash"),
    "expiry_outlives_its_value": mutant(
        "expiry", "a new value inherits the old one's time to live", "keyspace expiry crash"),
    "expired_and_not_logged": mutant(
        "expiry", "a key is reported expired and its deletion not logged", "expiry crash"),
    "flush_keeps_the_old_keys": mutant(
        "catalog", "a database that was emptied keeps its objects", "keyspace"),
    "object_goes_with_its_name": mutant(
        "catalog", "RENAME takes the object away with the name", "keyspace crash"),
    "survivors_not_named": mutant(
        "relocate", "the manifest does not say which packed segments count", "relocation crash"),
    "survivors_not_synced": mutant(
        "relocate", "a packed segment is not synced", "crash"),
    "image_leaves_a_page_out": mutant(
        "image", "some pages are missing in an image", "waiting crash"),
    "image_begins_at_its_end": mutant(
        "image", "replay begins where the image ended, not where it began", "waiting crash"),
    "image_without_catalog": mutant(
        "image", "an image forgets which database is which", "crash"),
    "image_not_synced": mutant(
        "image", "an image is not synced", "crash"),
    "image_checksum_unread": mutant(
        "image", "a damaged page is believed", "corruption waiting"),
    "image_counts_before_its_log": mutant(
        "switch", "an image counts before the log that it shows is durable", "crash faults"),
    "cuts_short_what_others_have": mutant(
        "reclaim", "a file that goes is cut short though somebody has it", "remover"),
    "recycles_what_is_shared": mutant(
        "recycle", "a file that a backup has by another name is written again", "supply recycle"),
    "stale_bytes_parse": mutant(
        "recycle", "a frame counts wherever it stands", "recycle"),
    "spare_gets_its_name_first": mutant(
        "recycle", "a file is a segment's by name before it says so durably", "crash"),
    "files_go_before_the_switch": mutant(
        "switch", "files are removed before the manifest says so durably", "corruption crash"),
    "manifest_not_synced": mutant(
        "manifest", "the manifest is renamed without a sync", "crash"),
    "manifest_name_not_synced": mutant(
        "manifest", "the manifest's new name is not made durable", "crash"),
    "files_go_that_an_image_names": mutant(
        "reclaim", "files go that a checkpoint leads into", "history crash"),
    "kept_log_goes": mutant(
        "reclaim", "a kept moment's stretch of log goes", "kept history"),
    "log_goes_that_a_start_replays": mutant(
        "reclaim", "log goes that a retained base needs", "history crash"),
    "what_goes_is_not_removed": mutant(
        "reclaim", "files that nobody needs are kept", "full_disk crash"),
    "growth_takes_what_is_kept": mutant(
        "reserve", "growth uses the log kept for deletions", "full_disk"),
    "reserve_stays_empty": mutant(
        "reserve", "no room is kept for a walk", "full_disk"),
    "record_checksum_unread": mutant(
        "read", "a damaged record is served", "bytes corruption"),
    "frame_checksum_unread": mutant(
        "read", "a damaged frame header is believed", "headers"),
    "torn_batch_kept": mutant(
        "batch", "a batch without its end counts", "crash corruption"),
    "batch_over_frames_lost": mutant(
        "batch", "a batch that ends in a later frame is not replayed", "crash"),
    "zero_tail_is_damage": mutant(
        "recovery", "a log that ends in zeros is refused", "crash"),
    "damage_is_cut": mutant(
        "recovery", "acknowledged bytes that are damaged are cut off", "corruption"),
    "tombstone_dropped_early": mutant(
        "image", "a deletion behind a page's back counts as in the page", "crash"),
    "deletion_not_replayed": mutant(
        "recovery", "deletions are not replayed", "crash"),
    "lsn_used_twice": mutant(
        "timeline", "a new timeline begins where the old one was cut", "start"),
    "timeline_stands_still": mutant(
        "timeline", "an unclean start begins no timeline", "start"),
    "kept_tail_not_synced": mutant(
        "recovery", "the tail written anew is not synced", "crash"),
    "kept_tail_not_adopted": mutant(
        "recovery", "the tail written anew is not named", "crash"),
    "kept_tail_name_not_synced": mutant(
        "recovery", "the tail written anew is named before its own name is durable", "start crash"),
    "base_newer_than_its_moment": mutant(
        "past", "a moment is made of a checkpoint that is younger", "past"),
    "past_goes_under_its_reader": mutant(
        "past", "files go that somebody who reads the past holds on to", "past full_disk"),
    "the_past_is_written_to": mutant(
        "past", "an opened past takes writes", "past"),
    "sidecar_skips_a_record": mutant(
        "past", "a record is not found by its sidecar", "sidecars"),
    "sidecar_of_another_segment_believed": mutant(
        "past", "the sidecar of another log file is believed", "sidecars"),
    "restore_goes_past_its_moment": mutant(
        "restore", "a restored store ends too late", "restore"),
    "restores_share_a_timeline": mutant(
        "timeline", "two restores of one store write under the same timeline", "backup restore"),
    "backup_of_another_past": mutant(
        "backup", "files of another timeline are taken for one's own", "backup"),
    "backup_names_not_synced": mutant(
        "backup", "a backup's files' names are not made durable", "backup"),
    "digest_of_what_is_not_durable": mutant(
        "backup", "a digest is noted of a file that a crash may take back", "digests"),
    "forget_leaves_the_log": mutant(
        "forget", "records of a forgotten key stay in the log", "forget"),
    "forget_leaves_the_images": mutant(
        "forget", "images lead to records that are erased", "forget"),
    "forget_takes_what_others_lead_to": mutant(
        "forget", "an object goes that other keys had, too", "forget"),
    "forget_takes_what_the_key_is_now": mutant(
        "forget", "images lose what the key is since, too", "forget"),
    "forget_counts_before_its_copy": mutant(
        "forget", "a file goes before the copy of it is named", "forget"),
    "archive_skips_a_piece": mutant(
        "archive", "a piece of the log counts as archived and was not brought", "archive"),
    "archive_takes_what_is_not_durable": mutant(
        "archive", "log is archived that a crash may take back", "archive"),
    "archive_not_synced": mutant(
        "archive", "an archived file has its name before it is durable", "archive"),
    "unarchived_log_goes": mutant(
        "archive", "log is given back that the archive has not got", "history archive"),
    "backup_list_not_synced": mutant(
        "backup", "a backup's list is renamed without a sync", "backup"),
    "reply_overtakes_a_gate": mutant(
        "network", "a reply leaves before one that waits", "gates histories"),
    "short_send_taken_as_whole": mutant(
        "network", "the rest of a short send is forgotten", "gates histories"),
    "half_a_command_not_kept": mutant(
        "network", "the first half of a command is lost when the second comes", "parser histories"),
}


def names_in_the_code():
    found = set()
    for layer in ("io", "engine", "recovery", "src"):
        for path in (ROOT / layer).rglob("*.[ch]pp"):
            if path.name != "mutant.hpp":
                found |= set(re.findall(r'planted\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
    return found


def number_of(name):
    """As in io/base/mutant.hpp."""
    number = 0xcbf29ce484222325
    for letter in name.encode():
        number = (number ^ letter) * 0x100000001b3 % 2**64
    return number


def run(build, name, harness):
    """What came of it: (noticed, seconds, last words)."""
    environment = dict(os.environ, FIRNLOG_MUTANT=name, FIRNLOG_SANITIZED="1")
    environment.pop("FIRNLOG_PROVE", None)
    folder = tempfile.mkdtemp(prefix="firnlog-mutant-")
    began = time.monotonic()
    try:
        done = subprocess.run(HARNESSES[harness].command(build, os.path.join(folder, "run")),
                              cwd=ROOT, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              timeout=SECONDS_MAX, check=False)
        code, words = done.returncode, done.stdout.decode(errors="replace")
    except FileNotFoundError:
        return None, 0.0, f"{harness}: it is not built"
    except subprocess.TimeoutExpired:
        code, words = None, "it hung"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    # The crash test's 1 says that it could not run, which is no verdict.
    if HARNESSES[harness].program == "firnlog" and code == 1:
        return None, time.monotonic() - began, words
    return code != 0, time.monotonic() - began, words


class Outcome(NamedTuple):
    noticed: dict    # harness -> whether; None: it could not run
    seconds: float

    def killers(self):
        return [harness for harness, noticed in self.noticed.items() if noticed]


def try_one(build, name, everything):
    noticed, seconds = {}, 0.0
    wanted = MUTANTS[name]
    for harness in wanted.harnesses:
        noticed[harness], took, _ = run(build, name, harness)
        seconds += took
        if noticed[harness] and not everything:
            break
    return Outcome(noticed, seconds)


def complaint(name, outcome, everything):
    wanted = MUTANTS[name]
    killers = outcome.killers()
    if wanted.open:
        return f"{name} is listed as open, and {', '.join(killers)} noticed" if killers else ""
    if not killers:
        return f"{name}: nothing noticed ({', '.join(wanted.harnesses)})"
    missed = [harness for harness in wanted.must if outcome.noticed.get(harness) is False]
    if everything and missed:
        return f"{name}: {', '.join(missed)} did not notice"
    return ""


def matrix(outcomes):
    lines = ["| bug | where | what it does | noticed by | not by |", "|---|---|---|---|---|"]
    for name, wanted in MUTANTS.items():
        outcome = outcomes[name]
        killers = ", ".join(outcome.killers()) or f"**open**: {wanted.open}"
        others = ", ".join(h for h, noticed in outcome.noticed.items() if noticed is False)
        lines.append(f"| `{name}` | {wanted.area} | {wanted.bug} | {killers} | {others} |")
    killed = sum(1 for outcome in outcomes.values() if outcome.killers())
    lines += ["", f"{killed} of {len(outcomes)} are noticed."]
    return "\n".join(lines)


def write(outcomes):
    text = DOC.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    DOC.write_text(text[:begin] + "\n" + matrix(outcomes) + "\n" + text[end:], encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--build", default="build/mutants")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true",
                        help="the matrix, of every bug and, without --all, whoever noticed first")
    options = parser.parse_args()
    build = ROOT / options.build
    pool = concurrent.futures.ThreadPoolExecutor(options.jobs)
    failures = []
    in_code = names_in_the_code()
    for name in sorted(in_code ^ set(MUTANTS)):
        failures.append(f"{name} stands only " + ("in the code" if name in in_code else "in the list"))

    if len({number_of(name) for name in MUTANTS}) != len(MUTANTS):
        failures.append("two names have the same number")
    names = options.names or list(MUTANTS)
    seed = int(os.environ.get("FIRNLOG_SEED", random.SystemRandom().randrange(2**32)))
    if options.sample:
        # What a real power cut must notice is for the full run: it needs root.
        names = random.Random(seed).sample(
            [name for name in names if not MUTANTS[name].open], options.sample)
    if options.all or options.write:
        for harness, (noticed, seconds, words) in zip(
                HARNESSES, pool.map(lambda harness: run(build, "", harness), HARNESSES)):
            if noticed is None:
                print(f"report: harness {harness} could not run: {words.strip()[-200:]}")
            elif noticed:
                print(words[-3000:])
                failures.append(f"harness {harness} fails without any bug")
            else:
                print(f"harness {harness}: sound, {seconds:.0f} s", flush=True)
    everything = options.all or bool(options.names)
    outcomes = {}
    for name, outcome in zip(names, pool.map(lambda name: try_one(build, name, everything), names)):
        outcomes[name] = outcome
        killers = ", ".join(outcome.killers()) or "nothing"
        print(f"{name}: noticed by {killers}, {outcome.seconds:.0f} s", flush=True)
        if said := complaint(name, outcome, everything):
            failures.append(f"{said}; again by: FIRNLOG_SEED={seed} tests/mutants.py {name}")
    print(f"report: bugs planted: {len(outcomes)}, noticed: "
          f"{sum(1 for outcome in outcomes.values() if outcome.killers())}, seed {seed}")
    if options.write and not failures:
        write(outcomes)
    for failure in failures:
        print("FAILED", failure)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
