//! Who is not audited: named with the reason, and what they leave behind is found.

use super::{LEAKS, findings, json, script, went};
use crate::trial::{Trials, Verdict, need};
use crate::{build, check, fail};

/// Adds the trials.
pub fn add(trials: &mut Trials) {
    trials.add("run::sees_who_is_not_audited", outsiders);
    trials.add("run::program_is_not_audited", program_outside);
    trials.add("run::without_a_session_to_join", not_joined);
    trials.add("run::module_with_deepbind", deepbind);
    trials.add("run::who_begins_late_is_audited", late);
    trials.add("run::valgrind_is_no_outsider", valgrind);
}

fn outsiders() -> Verdict {
    let (ended, work) = script(
        "run::outsiders",
        r#"
        run sh -c '"$RAW" 500; :' ; echo $?; cp report.json static.json
        ipcrm --all=shm; rm -f /dev/shm/*
        run sh -c 'env -i "$LEAVES" /x exit 0; :' ; echo $?; cp report.json cleared.json
        "#,
    )?;
    went(&ended, "0\nmade\n0\n")?;
    let report = json(&work, "static.json")?;
    let wanted = ["unattributed-leak error 55 -", "unattributed-leak error 777 -", "unaudited-process warning 0 -"];
    check!(findings(&report) == wanted, "found {:?}:\n{report:#}", findings(&report));
    let finding = &report["findings"][2]["message"];
    check!(finding.as_str().is_some_and(|text| text.ends_with("it is statically linked.")), "{finding}");
    let outsider =
        report["processes"].as_array().and_then(|all| all.iter().find(|process| process["audited"] == false));
    check!(outsider.is_some_and(|process| process["why_not"] == "it is statically linked"), "{report:#}");
    check!(report["summary"]["unaudited_processes"] == 1, "{report:#}");
    let cleared = json(&work, "cleared.json")?;
    let kinds = findings(&cleared);
    check!(kinds.iter().any(|kind| kind.starts_with("unattributed-leak")), "{kinds:?}");
    check!(kinds.iter().any(|kind| kind.starts_with("unaudited-process")), "{kinds:?}");
    // env was audited, and what it became was not.
    let all = cleared["findings"].as_array().into_iter().flatten();
    let blamed = all.filter_map(|finding| finding["message"].as_str()).find(|text| text.contains("bare system call"));
    check!(blamed.is_none(), "{cleared:#}");
    Ok(())
}

/// Who takes long to begin, as under a debugger that reads symbols, is audited from then on, and never named as an outsider.
fn late() -> Verdict {
    let (ended, work) = script(
        "run::late",
        r#"
        cat > late.c <<'END'
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/shm.h>
#include <unistd.h>
static void sleeps(int count, char **arguments) { (void)count; (void)arguments; usleep(700000); }
__attribute__((section(".preinit_array"), used)) static void (*const first)(int, char **) = sleeps;
int main(int count, char **arguments)
{
    int shmid = shmget(IPC_PRIVATE, 4321, 0600);
    if (count > 1)
        usleep(atoi(arguments[1]));
    return shmctl(shmid, IPC_RMID, NULL);
}
END
        gcc -o late late.c
        run sh -c './late; :'; echo $?; cp report.json ends.json
        run sh -c './late 700000; :'; echo $?
        "#,
    )?;
    went(&ended, "0\n0\n")?;
    for name in ["ends.json", "report.json"] {
        let report = json(&work, name)?;
        check!(findings(&report).is_empty() && report["summary"]["unaudited_processes"] == 0, "{name}: {report:#}");
        check!(report["summary"]["calls"]["shmget"] == 1, "{name}: not audited: {report:#}");
    }
    Ok(())
}

/// valgrind's own programs are static, and load the library with the program that they run.
fn valgrind() -> Verdict {
    need("valgrind")?;
    let (ended, work) =
        script("run::valgrind", r#"run sh -c 'valgrind -q --error-exitcode=77 "$LEAVES" /x exit 0; :'; echo $?"#)?;
    went(&ended, "made\n0\n")?;
    let report = json(&work, "report.json")?;
    check!(findings(&report) == LEAKS, "{:?}: {report:#}", findings(&report));
    check!(report["summary"]["unaudited_processes"] == 0, "{report:#}");
    Ok(())
}

/// Static programs that are run directly, and direct system calls of one that is audited.
fn program_outside() -> Verdict {
    let (ended, work) = script(
        "run::program_outside",
        r#"
        run "$RAW"; echo $?; cp report.json static.json
        ipcrm --all=shm; rm -f /dev/shm/*
        gcc -o raw-dynamic "$RAW_SOURCE" && run ./raw-dynamic 0 map; echo $?; cp report.json mapped.json
        ipcrm --all=shm; rm -f /dev/shm/*
        run ./raw-dynamic; echo $?
        "#,
    )?;
    went(&ended, "0\n0\n0\n")?;
    let report = json(&work, "static.json")?;
    let told = findings(&report);
    let wanted = ["unattributed-leak error 55 -", "unattributed-leak error 777 -", "unaudited-process warning 0 -"];
    check!(told == wanted, "{told:?}");
    let why = &report["processes"][0]["why_not"];
    check!(why == "it is statically linked", "{report:#}");
    let told = findings(&json(&work, "mapped.json")?);
    check!(told == wanted[..2], "{told:?}");
    // Nothing tells whose it is.
    let told = findings(&json(&work, "report.json")?);
    let wanted = ["unattributed-leak error 777 -", "unattributed-leak warning 55 -"];
    check!(told == wanted, "{told:?}");
    Ok(())
}

/// A process that cannot join the session runs on as it would, without a word, and is named.
fn not_joined() -> Verdict {
    let (ended, work) = script(
        "run::not_joined",
        r#"
        # Where that user comes to: the directories of a trial may be root's alone.
        place=$(mktemp -d /tmp/shmaudit-e2e-XXXXXX); trap 'rm -r "$place"' EXIT
        chmod 755 . "$place"; cp "$LEAVES" "$place/leaves"; chmod 755 "$place/leaves"; export place
        # It waits until it has been looked at, which is done from time to time.
        run sh -c 'setpriv --reuid 65534 --clear-groups "$place/leaves" /x wait > out & until grep -q waits out
            do kill -0 $! || exit 1; sleep 0.02; done; sleep 0.6; kill $!; wait $!; echo $?; cat out' 2> errors
        cat errors
        "#,
    )?;
    if ended.errors().contains("setpriv") {
        fail!("setpriv: {}", ended.errors());
    }
    check!(ended.output() == "9\nmade\nwaits\n", "{}{}", ended.output(), ended.errors());
    let report = json(&work, "report.json")?;
    let named = report["findings"].as_array().into_iter().flatten().any(|finding| {
        finding["kind"] == "unaudited-process"
            && finding["message"].as_str().is_some_and(|text| text.contains("could not join the session"))
    });
    check!(named, "{report:#}");
    Ok(())
}

/// A module's calls that pass by the audit: what they leave is found, with the process that made it and why it is not known how.
fn deepbind() -> Verdict {
    let plugin = build::own_source("plugin");
    let (ended, work) = script(
        "run::module_with_deepbind",
        &format!(
            r#"
        cat > host.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
int main(int argc, char **argv)
{{
    void *module = dlopen(argv[argc - 1], RTLD_NOW | RTLD_DEEPBIND);
    int (*make)(int) = (int (*)(int))dlsym(module, "make");
    return make(777) < 0;
}}
END
        gcc -o host host.c -ldl && gcc -shared -fPIC -o plugin.so '{}' && run ./host ./plugin.so; echo $?
        "#,
            plugin.display()
        ),
    )?;
    went(&ended, "0\n")?;
    let report = json(&work, "report.json")?;
    check!(findings(&report) == ["unattributed-leak error 777 -"], "{report:#}");
    let message = report["findings"][0]["message"].as_str().unwrap_or_default();
    check!(message.contains("made by host[") && message.contains("RTLD_DEEPBIND"), "{message}");
    Ok(())
}
