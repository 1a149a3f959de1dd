//! Each kind of finding: how it comes about, and a few lines of C before and after. When a kind holds, why that matters and
//! what to do in general, the core says.

/// A kind's story.
pub struct Remedy {
    /// The kind's name.
    pub kind: &'static str,
    /// How it usually comes about.
    pub how: &'static str,
    /// Code that has it.
    pub before: &'static str,
    /// Code that has not.
    pub after: &'static str,
}

/// The table.
pub const REMEDIES: &[Remedy] = &[
    Remedy {
        kind: "posix-leak",
        how: "shm_unlink is at the end of main, and the program left by another way: an error's exit, abort, a signal. Or each process thought that another would do it.",
        before: r#"int fd = shm_open("/app", O_CREAT|O_RDWR, 0600);
...
run();                      /* may exit or crash */
shm_unlink("/app");"#,
        after: r#"int fd = shm_open("/app", O_CREAT|O_EXCL|O_RDWR, 0600);
pass_to_children(fd);       /* or: wait until everybody has opened it */
shm_unlink("/app");         /* goes with its last user */
run();"#,
    },
    Remedy {
        kind: "sysv-leak",
        how: "IPC_RMID is at the end of main, and the program left by another way; or an IPC_PRIVATE segment's shmid was lost.",
        before: r#"int id = shmget(IPC_PRIVATE, size, 0600);
void *p = shmat(id, NULL, 0);
run(p);                     /* may exit or crash */
shmctl(id, IPC_RMID, NULL);"#,
        after: r#"int id = shmget(IPC_PRIVATE, size, 0600);
void *p = shmat(id, NULL, 0);
shmctl(id, IPC_RMID, NULL); /* goes with the last detach */
run(p);"#,
    },
    Remedy {
        kind: "sysv-pending-destroy",
        how: "IPC_RMID was called, and somebody else still has the segment attached: a daemon that was started before, a worker that hangs. `ipcs -mp` and /proc/PID/maps (/SYSV...) name them.",
        before: r#"shmctl(id, IPC_RMID, NULL);
exit(0);                    /* the workers still run */"#,
        after: r#"tell_workers_to_stop();
while (wait(NULL) > 0)      /* each detaches as it ends */
        ;
shmctl(id, IPC_RMID, NULL);"#,
    },
    Remedy {
        kind: "fd-at-exit",
        how: "The descriptor was kept after mmap. At an exit that costs nothing; in a loop or a library it is a leak, up to EMFILE.",
        before: r#"int fd = shm_open(name, O_RDWR, 0);
p = mmap(NULL, size, prot, MAP_SHARED, fd, 0);"#,
        after: r#"int fd = shm_open(name, O_RDWR, 0);
p = mmap(NULL, size, prot, MAP_SHARED, fd, 0);
close(fd);                  /* the mapping does not need it */"#,
    },
    Remedy {
        kind: "mapping-at-exit",
        how: "Each call maps the object once more and nobody unmaps it. Address space goes, and after shm_unlink the memory stays.",
        before: r#"void read_state(void) {
        p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        use(p);
}"#,
        after: r#"void read_state(void) {
        p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        use(p);
        munmap(p, size);
}"#,
    },
    Remedy {
        kind: "attach-at-exit",
        how: "Each call attaches the segment once more and nobody detaches it. nattch grows, and after IPC_RMID the segment stays.",
        before: r#"struct state *s = shmat(id, NULL, 0);
use(s);"#,
        after: r#"struct state *s = shmat(id, NULL, 0);
use(s);
shmdt(s);"#,
    },
    Remedy {
        kind: "bad-detach",
        how: "Two owners of one address each detach it, or the pointer has moved on, or it is the (void *) -1 of a failed shmat.",
        before: r#"shmdt(s);
...
shmdt(s);                   /* again */"#,
        after: r#"shmdt(s);
s = NULL;
...
if (s != NULL)
        shmdt(s);"#,
    },
    Remedy {
        kind: "use-after-remove",
        how: "One process removes the object at its end while another still starts: who opens it late finds none, or makes a new one that nobody else sees.",
        before: r#"if (fork() == 0) {
        fd = shm_open("/app", O_RDWR, 0);   /* ENOENT, if late */
        _exit(work(fd));
}
shm_unlink("/app");         /* has the child opened it yet? */"#,
        after: r#"fd = shm_open("/app", O_CREAT|O_EXCL|O_RDWR, 0600);
if (fork() == 0)
        _exit(work(fd));    /* inherited: nothing is opened by name */
shm_unlink("/app");"#,
    },
    Remedy {
        kind: "map-beyond-end",
        how: "The object is smaller than its mapping: ftruncate came later, was forgotten, or another process has made it smaller. The first touch beyond the end is a SIGBUS.",
        before: r#"fd = shm_open(name, O_RDWR, 0);
p = mmap(NULL, SIZE, prot, MAP_SHARED, fd, 0);
p[SIZE - 1] = 1;            /* SIGBUS if it is shorter */"#,
        after: r#"fd = shm_open(name, O_RDWR, 0);
if (fstat(fd, &st) == -1 || st.st_size < SIZE)
        return not_ready();
p = mmap(NULL, SIZE, prot, MAP_SHARED, fd, 0);"#,
    },
    Remedy {
        kind: "size-mismatch",
        how: "An object of another size is there: an older version of the program made it, or another program has the same key.",
        before: r#"id = shmget(KEY, sizeof(struct v2), IPC_CREAT|0600);
/* EINVAL: a smaller one has been left */"#,
        after: r#"id = shmget(KEY, sizeof(struct v2), IPC_CREAT|0600);
if (id == -1 && errno == EINVAL) {
        shmctl(shmget(KEY, 0, 0), IPC_RMID, NULL);
        id = shmget(KEY, sizeof(struct v2),
                    IPC_CREAT|IPC_EXCL|0600);
}"#,
    },
    Remedy {
        kind: "no-exclusive-create",
        how: "The program means to make the object and takes over one that exists, with whatever is in it.",
        before: r#"fd = shm_open("/app", O_CREAT|O_RDWR, 0600);
ftruncate(fd, size);        /* old content stays */"#,
        after: r#"fd = shm_open("/app", O_CREAT|O_EXCL|O_RDWR, 0600);
if (fd == -1 && errno == EEXIST)
        fd = join_or_replace("/app");"#,
    },
    Remedy {
        kind: "world-accessible",
        how: "0666 or 0777 was copied from an example. Every user of the machine can read, change or shrink the memory.",
        before: r#"id = shmget(key, size, IPC_CREAT|0666);"#,
        after: r#"id = shmget(key, size, IPC_CREAT|0600);
/* or 0660 and a group of their own */"#,
    },
    Remedy {
        kind: "nonportable-name",
        how: "Linux takes names without a leading slash; POSIX leaves open what they mean, and other systems refuse them or look in the working directory.",
        before: r#"shm_open("app", O_RDWR, 0);"#,
        after: r#"shm_open("/app", O_RDWR, 0);"#,
    },
    Remedy {
        kind: "ftok-failed-key",
        how: "ftok failed and its -1 was used as a key: programs that fail alike share a segment of key 0xffffffff that nobody meant.",
        before: r#"id = shmget(ftok(path, 'A'), size, IPC_CREAT|0600);"#,
        after: r#"key_t key = ftok(path, 'A');
if (key == (key_t) -1)
        die("ftok: %s", path);
id = shmget(key, size, IPC_CREAT|0600);"#,
    },
    Remedy {
        kind: "limit-hit",
        how: "A limit was reached: kernel.shmmni segments, kernel.shmall pages, kernel.shmmax bytes, the size of /dev/shm, RLIMIT_NOFILE or RLIMIT_AS. Objects that earlier runs have left count too.",
        before: r#"ftruncate(fd, size);        /* reserves nothing */
memset(p, 0, size);         /* SIGBUS: /dev/shm is full */"#,
        after: r#"if ((errno = posix_fallocate(fd, 0, size)) != 0)
        die("no room in /dev/shm");
memset(p, 0, size);"#,
    },
    Remedy {
        kind: "vanished",
        how: "Somebody outside removed it: a clean-up script, systemd's RemoveIPC at a user's logout, another instance, kernel.shm_rmid_forced.",
        before: r#"/* a service of a logged-in user, logind.conf:
   RemoveIPC=yes (the default) */
fd = shm_open("/app", O_RDWR, 0);   /* ENOENT after logout */"#,
        after: r#"/* run it as a system user (RemoveIPC leaves those alone),
   or keep a descriptor instead of opening by name */
static int fd = -1;
if (fd == -1)
        fd = shm_open("/app", O_RDWR, 0);"#,
    },
    Remedy {
        kind: "unaudited-process",
        how: "The loader did not load the library there: a static program, a set-user-ID one, one of another word size, or its parent cleared the environment. What it leaves is found, without a stack.",
        before: r#"char *env[] = { "PATH=/bin", NULL };
execve(program, argv, env); /* LD_PRELOAD is lost */"#,
        after: r#"setenv("PATH", "/bin", 1);
execv(program, argv);       /* or link it with -lshmaudit */"#,
    },
    Remedy {
        kind: "unattributed-leak",
        how: "An object appeared while the tree ran, and no audited call made it: system calls made without the C library, io_uring, or a process that was not audited.",
        before: r#"syscall(SYS_shmget, key, size, IPC_CREAT|0600);"#,
        after: r#"shmget(key, size, IPC_CREAT|0600);  /* can be seen */"#,
    },
];
