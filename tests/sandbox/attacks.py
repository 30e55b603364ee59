"""Attacks on the jail, as data: run by whoever runs the tests and, where that is root, by an ordinary user too.

Each would succeed in a bare interpreter. `GROUPS` holds them by what they must come to; an attack is contained only
when it ends in one of its outcomes, with its value and its detail.
"""

from __future__ import annotations

import re

from azr_sandbox.execution import Outcome
from azr_sandbox.limits import Limits
from azr_sandbox.probe import Attack

DENIED, ERROR, CRASH, OK = Outcome.POLICY_VIOLATION, Outcome.ERROR, Outcome.CRASH, Outcome.OK
CPU, MEMORY, TIMEOUT, OUTPUT = Outcome.CPU, Outcome.MEMORY, Outcome.TIMEOUT, Outcome.OUTPUT_LIMIT


def program(name: str, text: str, *outcomes: Outcome, value: str | None = None, detail: str = "") -> Attack:
    """An attack given as a whole program."""
    return Attack(name, text, frozenset(outcomes), value, detail)


def body(name: str, line: str, *outcomes: Outcome, value: str | None = None, detail: str = "") -> Attack:
    """An attack of one statement, with the modules that it names imported."""
    modules = [m for m in MODULES if f"{m}." in line]
    imports = f"import {', '.join(modules)}\n" if modules else ""
    return program(name, f"{imports}def f(x):\n    {line}", *outcomes, value=value, detail=detail)


# Each attack meets one limit on time at most, however busy the machine is.
COMPUTING = Limits(cpu_s=1, wall_s=60)
WAITING = Limits(cpu_s=20, wall_s=1)
PATIENT = Limits(cpu_s=20, wall_s=60)


def limits(attack: Attack) -> Limits:
    """What an attack is run under."""
    return COMPUTING if CPU in attack.outcomes else WAITING if TIMEOUT in attack.outcomes else PATIENT


MODULES = re.findall(
    r"\S+",
    """os sys socket ctypes signal time threading _thread subprocess multiprocessing asyncio tempfile shutil sqlite3
    resource mmap select pty urllib.request http.client concurrent.futures logging.handlers pathlib platform
    faulthandler random uuid secrets datetime gc inspect re json zlib itertools""",
)


def call(name: str, number: int, arguments: str = "0, 0, 0, 0, 0, 0") -> Attack:
    """A system call by number, through ctypes."""
    return body(f"call {name}", f"return ctypes.CDLL(None, use_errno=True).syscall({number}, {arguments})", DENIED)


def errno(name: str, number: int, arguments: str, expected: int) -> Attack:
    """A system call that fails with an error number instead of ending its caller."""
    text = (
        "import ctypes\ndef f(x):\n    libc = ctypes.CDLL(None, use_errno=True)\n"
        f"    return libc.syscall({number}, {arguments}), ctypes.get_errno()"
    )
    return program(name, text, OK, value=f"(-1, {expected})")


FILES = (
    body("read passwords", "return open('/etc/shadow').read()", ERROR, detail="FileNotFoundError"),
    body("read its own image", "return open('/proc/self/exe', 'rb').read(4)", ERROR, detail="FileNotFound"),
    body("read its memory map", "return open('/proc/self/maps').read()", ERROR, detail="FileNotFoundError"),
    body("read the zygote's memory file", "return open('/proc/1/mem', 'rb').read(1)", ERROR, detail="FileNotFound"),
    body("read the kernel's settings", "return os.listdir('/sys')", ERROR, detail="FileNotFoundError"),
    body("list devices", "return os.listdir('/dev')", ERROR, detail="FileNotFoundError"),
    body("open the terminal", "return open('/dev/tty')", ERROR, detail="FileNotFoundError"),
    body("list homes", "return os.listdir('/root') + os.listdir('/home')", ERROR, detail="FileNotFound"),
    body("list temporary files", "return os.listdir('/tmp')", ERROR, detail="FileNotFound"),
    body("climb out by dots", "return open('../../../../../../etc/hostname').read()", ERROR, detail="FileNot"),
    body("climb out from a directory", "os.chdir('/py'); return open('../../etc/hostname').read()", DENIED),
    body("climb out by a descriptor", "os.fchdir(os.open('/', os.O_RDONLY))", DENIED),
    body("see more than Python", "return sorted(set(os.listdir('/')) - {'py', 'lib', 'lib64', 'usr'})", OK, value="[]"),
    body("see installed packages", "return [n for n in os.listdir('/py/lib') if 'site' in n]", OK, value="[]"),
    body("see where Python was copied from", "return 'work' in repr(sys.path) + sys.prefix", OK, value="False"),
    body("write beside Python", "open('/py/lib/x', 'w')", DENIED),
    body("write a new file", "pathlib.Path('/x').write_text('x')", DENIED),
    body("append to a module", "open(os.__file__, 'a')", DENIED),
    body("update a module in place", "open(os.__file__, 'r+b')", DENIED),
    body("write through os.open", "os.open('/x', os.O_CREAT | os.O_RDWR)", DENIED),
    body("truncate by opening", "os.open(os.__file__, os.O_TRUNC)", DENIED),
    body("make an unnamed file", "os.open('/', os.O_TMPFILE | os.O_RDWR)", DENIED),
    body("make a temporary file", "return tempfile.mkstemp()", ERROR, DENIED),
    body("make a shared-memory file", "return ctypes.CDLL(None).shm_open(b'/x', 0o102, 0o600)", DENIED),
    body("make a database", "sqlite3.connect('/x.db').execute('create table t(a)')", ERROR, DENIED),
    body("attach a database", "sqlite3.connect(':memory:').execute(\"attach '/x.db' as y\")", ERROR, DENIED),
    body("log to a file", "logging.handlers.RotatingFileHandler('/x.log').close()", DENIED),
    body("copy a file", "shutil.copy(os.__file__, '/x')", DENIED),
    body("make a directory", "os.mkdir('/x')", DENIED),
    body("make a pipe in the file system", "os.mkfifo('/x')", DENIED),
    body("make a device", "os.mknod('/x', 0o20666, 0x103)", DENIED),
    body("rename", "os.rename('/py', '/q')", DENIED),
    body("delete", "os.unlink('/py/bin/python3')", DENIED),
    body("remove a tree", "shutil.rmtree('/py')", ERROR, DENIED),
    body("make a symbolic link", "os.symlink('/', '/x')", DENIED),
    body("make a hard link", "os.link(os.__file__, '/x')", DENIED),
    body("change modes", "os.chmod('/py', 0o777)", DENIED),
    body("change owners", "os.chown('/py', 0, 0)", DENIED),
    body("change time stamps", "os.utime('/py')", DENIED),
    body("change attributes", "os.setxattr('/py', 'user.x', b'x')", DENIED),
    body("truncate", "os.truncate('/py/bin/python3', 0)", DENIED),
    body("change the root", "os.chroot('/py')", DENIED),
    body("lock a file", "return ctypes.CDLL(None).flock(os.open('/py/bin/python3', 0), 2)", DENIED),
    body("ask about the disk", "return os.statvfs('/')", DENIED),
    body("change the file-mode mask", "return os.umask(0)", DENIED),
    call("open with O_CREAT", 2, "b'/x', 0o101, 0o644"),
    call("openat with O_CREAT", 257, "-100, b'/x', 0o101, 0o644"),
    call("creat", 85, "b'/x', 0o644"),
    call("open_by_handle_at", 304),
    call("name_to_handle_at", 303),
    call("copy_file_range", 326),
    call("memfd_create", 319, "b'x', 0"),
    call("memfd_secret", 447),
    call("inotify_init1", 294),
    call("fanotify_init", 300),
    errno("call openat2, whose flags a filter cannot see", 437, "-100, b'/', 0, 24", 38),
)

NETWORK = (
    body("connect to the internet", "socket.create_connection(('1.1.1.1', 53))", DENIED),
    body("connect to the loopback", "socket.create_connection(('127.0.0.1', 22))", DENIED),
    body("connect to the loopback by IPv6", "socket.socket(socket.AF_INET6).connect(('::1', 22))", DENIED),
    body("listen", "socket.create_server(('', 8000))", DENIED),
    body("send a datagram", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", DENIED),
    body("open a raw socket", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)", DENIED),
    body("bind an abstract socket", "socket.socket(socket.AF_UNIX).bind('\\0a')", DENIED),
    body("connect to the X server", "socket.socket(socket.AF_UNIX).connect('\\0/tmp/.X11-unix/X0')", DENIED),
    body("make a socket pair", "socket.socketpair()", DENIED),
    body("adopt a descriptor as a socket", "socket.socket(fileno=3)", ERROR, DENIED),
    body("fetch a page", "urllib.request.urlopen('http://1.1.1.1')", DENIED),
    body("fetch the cloud's metadata", "http.client.HTTPConnection('169.254.169.254').request('GET', '/')", DENIED),
    body("look up a name", "return socket.gethostbyname('example.org')", DENIED),
    body("list interfaces", "return socket.if_nameindex()", DENIED),
    body("log to the system's log", "logging.handlers.SysLogHandler(('127.0.0.1', 514))", DENIED),
    body("start an event loop", "return asyncio.run(asyncio.sleep(0))", DENIED),
    body("wait on epoll", "return select.epoll()", ERROR, detail="Function not implemented"),
    body("know the host's name", "return platform.node()", OK, value="'jail'"),
    *(
        call(f"socket of family {name}", 41, f"{family}, 3, 0")
        for name, family in {
            "UNIX": 1, "INET": 2, "IPX": 4, "INET6": 10, "NETLINK": 16, "PACKET": 17, "RDS": 21, "CAN": 29,
            "TIPC": 30, "BLUETOOTH": 31, "ALG": 38, "NFC": 39, "VSOCK": 40, "QIPCRTR": 42, "SMC": 43, "XDP": 44,
        }.items()
    ),
    *(
        call(name, number, "3, 0, 0, 0, 0, 0")
        for name, number in {
            "connect": 42, "accept": 43, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47, "shutdown": 48,
            "bind": 49, "listen": 50, "getsockname": 51, "getpeername": 52, "socketpair": 53, "setsockopt": 54,
            "getsockopt": 55, "accept4": 288, "recvmmsg": 299, "sendmmsg": 307,
        }.items()
    ),
)  # fmt: skip

PROCESSES = (
    body("fork", "os.fork()", DENIED),
    body("fork through ctypes", "ctypes.CDLL(None).fork()", DENIED),
    body("fork with a terminal", "pty.fork()", ERROR, DENIED),
    body("become a daemon", "ctypes.CDLL(None).daemon(0, 0)", DENIED),
    call("vfork", 58),
    call("clone as fork does", 56, "17, 0, 0, 0, 0"),
    call("clone as threads do", 56, "0x3d0f00, 0, 0, 0, 0"),
    call("clone into new namespaces", 56, "0x7e020011, 0, 0, 0, 0"),
    errno("call clone3, whose flags a filter cannot see", 435, "0, 0", 38),
    body("start a thread", "threading.Thread(target=print).start()", DENIED),
    body("start a bare thread", "_thread.start_new_thread(print, ())", DENIED),
    body("start a pool of threads", "concurrent.futures.ThreadPoolExecutor().submit(print)", DENIED),
    body("start a watchdog thread", "faulthandler.dump_traceback_later(9, file=open('/py/bin/python3'))", DENIED),
    body("start a shell", "return os.system('id')", DENIED),
    body("read from a shell", "return os.popen('id').read()", DENIED),
    body("start a subprocess", "subprocess.run(['/py/bin/python3'])", DENIED),
    body("spawn", "os.posix_spawn('/py/bin/python3', ['p'], {})", DENIED),
    body("exec", "os.execv('/py/bin/python3', ['p', '-c', 'print(1)'])", DENIED),
    body("exec by descriptor", "os.execve(os.open('/py/bin/python3', 0), ['p'], {})", DENIED),
    call("execveat", 322, "3, b'', 0, 0, 0x1000"),
    call("execveat of a file in memory", 322, "ctypes.CDLL(None).memfd_create(b'x', 0), b'', 0, 0, 0x1000"),
    body("start a pool of processes", "multiprocessing.Pool(2)", ERROR, DENIED),
    body("start a process", "multiprocessing.Process(target=print).start()", DENIED),
    body("kill everything", "os.kill(-1, 9)", DENIED),
    body("kill the zygote", "os.kill(1, 9)", DENIED),
    body("kill its parent", "os.kill(os.getppid(), 9)", DENIED),
    body("kill its group", "os.killpg(0, 9)", DENIED),
    body("stop itself", "os.kill(os.getpid(), 19)", DENIED),
    body("signal itself", "signal.raise_signal(signal.SIGUSR1)", DENIED),
    body("probe for processes", "os.kill(2, 0)", DENIED),
    body("open a process", "os.pidfd_open(1)", DENIED),
    body("wait for others", "os.wait()", DENIED),
    body("wait without reaping", "os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)", DENIED),
    body("make a pipe", "os.pipe()", DENIED),
    body("leave its session", "os.setsid()", DENIED),
    body("leave its group", "os.setpgid(0, 0)", DENIED),
    body("change priority", "os.nice(-5)", DENIED),
    body("become real-time", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))", DENIED),
    body("choose its processors", "os.sched_setaffinity(0, {0})", DENIED),
    body("become root", "os.setuid(0)", DENIED),
    body("become root's group", "os.setgid(0)", DENIED),
    body("drop its groups", "os.setgroups([])", DENIED),
    body("become root for files only", "ctypes.CDLL(None).setfsuid(0)", DENIED),
    body("be root", "return 0 in (os.getuid(), os.geteuid(), os.getgid(), os.getegid())", OK, value="False"),
    body("set an alarm", "signal.setitimer(signal.ITIMER_REAL, 1)", DENIED),
    body("set an alarm the old way", "signal.alarm(1)", DENIED),
    *(
        call(name, number, "1, 0, 0, 0, 0, 0")
        for name, number in {
            "ptrace": 101, "rt_sigqueueinfo": 129, "tkill": 200, "tgkill": 234, "rt_tgsigqueueinfo": 297,
            "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "pidfd_send_signal": 424,
            "pidfd_getfd": 438, "process_madvise": 440, "process_mrelease": 448, "migrate_pages": 256,
            "move_pages": 279, "get_robust_list": 274, "timer_create": 222, "timerfd_create": 283, "signalfd4": 289,
            "eventfd2": 290, "capset": 126, "prctl": 157, "seccomp": 317, "personality": 135, "ioprio_set": 251,
            "rt_sigtimedwait": 128, "pause": 34, "rt_sigsuspend": 130, "futex_waitv": 449, "getpgid": 121,
        }.items()
    ),
)  # fmt: skip

KERNEL = (
    *(
        call(name, number)
        for name, number in {
            "ioperm": 173, "iopl": 172, "modify_ldt": 154, "arch_prctl": 158, "pivot_root": 155, "mount": 165,
            "umount2": 166, "swapon": 167, "reboot": 169, "sethostname": 170, "init_module": 175,
            "finit_module": 313, "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320, "acct": 163,
            "syslog": 103, "settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "clock_adjtime": 305,
            "quotactl": 179, "quotactl_fd": 443, "lookup_dcookie": 212, "uselib": 134, "vhangup": 153,
            "add_key": 248, "request_key": 249, "keyctl": 250, "io_setup": 206, "io_submit": 209,
            "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "bpf": 321,
            "perf_event_open": 298, "userfaultfd": 323, "setns": 308, "splice": 275, "tee": 276, "vmsplice": 278,
            "sendfile": 40, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
            "fspick": 433, "mount_setattr": 442, "statmount": 457, "listmount": 458, "landlock_create_ruleset": 444,
            "landlock_restrict_self": 446, "lsm_set_self_attr": 460, "shmget": 29, "shmat": 30, "semget": 64,
            "msgget": 68, "mq_open": 240, "mlock": 149, "mlockall": 151, "mincore": 27, "msync": 26,
            "remap_file_pages": 216, "mbind": 237, "set_mempolicy": 238, "pkey_alloc": 330, "mseal": 462,
            "sched_setattr": 314, "getcpu": 309, "sync": 162, "fallocate": 285, "dup2": 33, "dup3": 292,
            "epoll_create": 213, "epoll_wait": 232, "preadv": 295, "pwrite64": 18,
        }.items()
    ),
    call("unshare of the user namespace", 272, "0x10000000"),
    call("unshare of open files", 272, "0x400"),
    call("a number from nowhere", 9999),
    call("number -1", -1),
    call("the x32 form of write", 0x40000001),
    call("the x32 form of execve", 0x40000000 | 520),
    *(
        call(f"futex to {name}", 202, f"ctypes.create_string_buffer(8), {operation}, 1, 1, 0, 0")
        for name, operation in {
            "requeue": 3, "compare and requeue": 4, "wake and compute": 5, "lend priority": 6, "take priority back": 7,
            "try for priority": 8, "wait for priority": 11, "requeue with priority": 12, "lend it once more": 0x8D,
        }.items()
    ),
    call("fcntl to take over a pipe's size", 72, "3, 1031, 1048576"),
    call("fcntl for signals on input", 72, "3, 8, 1"),
    call("fcntl to block no more", 72, "3, 4, 2048"),
    call("fcntl for leases", 72, "3, 1024, 1"),
    errno("push characters into a terminal", 16, "0, 0x5412, b'x'", 25),
    errno("ask a descriptor how much it holds", 16, "3, 0x541b, b'xxxx'", 25),
    errno("ask for the host's load", 99, "ctypes.create_string_buffer(200)", 38),
    program(
        "call the kernel as 32-bit programs do",  # getpid by int 0x80, from memory made executable
        "import ctypes, mmap\n"
        "def f(x):\n"
        "    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n"
        "    page.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))\n"
        "    address = ctypes.addressof(ctypes.c_char.from_buffer(page))\n"
        "    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()",
        DENIED,
        CRASH,
    ),
)  # fmt: skip

RESOURCES = (
    body("one huge object", "return len(bytearray(10**11))", MEMORY),
    body("one huge mapping", "return len(mmap.mmap(-1, 10**10))", MEMORY),
    program("many objects", "def f(x):\n    a = []\n    while 1: a.append(' ' * 10**6)", MEMORY),
    program(
        "many mappings",
        "import mmap\ndef f(x):\n    a = []\n    while 1: a.append(mmap.mmap(-1, 1 << 22))",
        MEMORY,
    ),
    program("memory by C's allocator", "import ctypes\ndef f(x):\n    m = ctypes.CDLL(None).malloc\n"
            "    m.restype = ctypes.c_void_p\n    m.argtypes = [ctypes.c_size_t]\n"
            "    n = 0\n    while m(1 << 20): n += 1\n    return n < 1000", OK, value="True"),
    body("a decompression bomb", "return len(zlib.decompress(zlib.compress(bytes(10**9))))", MEMORY),
    body("a huge power", "return 10 ** 10 ** 10", CPU),
    body("a loop", "while 1: pass", CPU),
    program("a loop at import", "while 1: pass\ndef f(x): return 1", CPU),
    body("a loop in C", "return sum(itertools.repeat(1))", CPU),
    program(
        "a loop that swallows",
        "def f(x):\n    while 1:\n        try:\n            while 1: pass\n        except BaseException: pass",
        CPU,
    ),
    program(
        "a loop that ignores the signal",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\ndef f(x):\n    while 1: pass",
        CPU,
    ),
    program(
        "a loop that blocks every signal",
        "import signal\ndef f(x):\n    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n    while 1: pass",
        CPU,
    ),
    program(
        "a loop that leaves when the limit is signalled",
        "import os, signal\n"
        "def f(x):\n    signal.signal(signal.SIGXCPU, lambda *a: os._exit(0))\n    while 1: pass",
        CPU,
    ),
    program(
        "a loop that answers when the limit is signalled",
        "import signal\n"
        "def late(*a): raise TimeoutError\n"
        "def f(x):\n    signal.signal(signal.SIGXCPU, late)\n    try:\n        while 1: pass\n"
        "    except TimeoutError: return 7",
        CPU,
    ),
    body("a slow regular expression", "re.match('(a+)+$', 'a' * 40 + 'b')", CPU),
    body("an endless print", "while 1: print('a' * 1000)", CPU),
    program(
        "the CPU signal handled and a value returned",
        "import signal, time\n"
        "def f(x):\n"
        "    done = []\n"
        "    signal.signal(signal.SIGXCPU, lambda *a: done.append(1))\n"
        "    while not done: pass\n"
        "    end = time.process_time() + 0.6\n"
        "    while time.process_time() < end: pass\n"
        "    return 7",
        CPU,
    ),
    body("a sleep", "time.sleep(60)", TIMEOUT),
    body("a wait for input that never comes", "select.select([], [], [])", TIMEOUT),
    program("a lock nobody opens", "import threading\ndef f(x):\n    l = threading.Lock(); l.acquire(); l.acquire()",
            TIMEOUT),
    body("deep recursion", "return f(x)", ERROR, detail="RecursionError"),
    body("deep nesting of source", "return eval('(' * 10**5)", ERROR),
    program(
        "recursion past the C stack",
        "import sys\nsys.setrecursionlimit(10**9)\n"
        "class A:\n    def __repr__(self): return repr(self)\ndef f(x):\n    return repr(A())",
        CRASH,
        ERROR,  # from Python 3.12 on
    ),
    body("a long text", "return 'a' * 70_000", OUTPUT),
    body("a long list", "return [0] * 10**6", OUTPUT),
    program(
        "a shared giant",
        "def f(x):\n    a = [0]\n    for _ in range(40): a = [a, a]\n    return a",
        OUTPUT,
    ),
    body("a long integer", "return 10 ** 5000", OUTPUT),
    program(
        "a flood into every descriptor",
        "import os\n"
        "def f(x):\n"
        "    while 1:\n"
        "        for fd in range(3, 64):\n"
        "            try: os.write(fd, b'x' * 65536)\n"
        "            except OSError: pass",
        OUTPUT,
    ),
    program(
        "every descriptor there is",
        "import os\n"
        "def f(x):\n"
        "    n = 0\n"
        "    try:\n"
        "        while 1: os.dup(0); n += 1\n"
        "    except OSError: return n <= 32",
        OK,
        value="True",
    ),
    body("set its own limits", "resource.setrlimit(resource.RLIMIT_CPU, (64, 64))", DENIED),
    body("raise its memory", "resource.prlimit(0, resource.RLIMIT_AS, (1 << 40, 1 << 40))", DENIED),
    body("raise the zygote's limits", "resource.prlimit(1, resource.RLIMIT_NPROC, (99, 99))", DENIED),
    body("find a limit that is missing", "return [resource.getrlimit(n)[1] for n in (1, 4, 6)]", OK, value="[0, 0, 0]"),
)  # fmt: skip

INTERPRETER = (
    body("leave with success", "os._exit(0)", CRASH),
    body("leave with failure", "os._exit(3)", CRASH, detail="status 3"),
    body("leave through C", "ctypes.CDLL(None).exit(0)", CRASH),
    body("read address zero", "ctypes.string_at(0)", CRASH, detail="SIGSEGV"),
    body("write to address zero", "ctypes.memset(0, 1, 1)", CRASH, detail="SIGSEGV"),
    body("jump to address zero", "ctypes.CFUNCTYPE(None)(0)()", CRASH, ERROR),
    body("abort", "os.abort()", CRASH),
    body("overwrite None", "ctypes.memset(id(None), 255, 16); return [None] * 9", CRASH),
    body("raise SystemExit", "sys.exit(0)", ERROR, detail="SystemExit"),
    body("raise KeyboardInterrupt", "raise KeyboardInterrupt", ERROR, detail="KeyboardInterrupt"),
    body("raise GeneratorExit", "raise GeneratorExit", ERROR, detail="GeneratorExit"),
    body("read input", "return input()", ERROR, detail="RuntimeError"),
    body("read standard input", "return os.read(0, 1)", OK, value="b''"),
    program(
        "run a broken code object",
        "def f(x):\n    g = lambda: 0\n    g.__code__ = g.__code__.replace(co_code=b'\\xff' * 64)\n    return g()",
        CRASH,
        ERROR,  # from Python 3.12 on
    ),
    program("import what is not there", "import numpy\ndef f(x):\n    return 1", ERROR, detail="ModuleNotFoundError"),
    program("import the platform", "import azr_platform\ndef f(x): return 1", ERROR, detail="ModuleNotFoundError"),
    program(
        "close every descriptor and stay",
        "import os\ndef f(x):\n    os.closerange(3, 64)\n    while 1: pass",
        CRASH,
        CPU,
    ),
    program("close every descriptor and return", "import os\ndef f(x):\n    os.closerange(0, 64)\n    return 7", CRASH),
    program(
        "fail with a text that lies",
        "class E(Exception):\n    def __str__(self): raise self\ndef f(x):\n    raise E()",
        ERROR,
        detail="E",
    ),
    program(
        "fail with a text that never ends",
        "class E(Exception):\n    def __str__(self):\n        while 1: pass\ndef f(x):\n    raise E()",
        CPU,
    ),
    body("fail with a terminal sequence", "raise ValueError('\\x1b[2J\\r\\n')", ERROR, detail=": \\x1b[2J\\r\\n"),
    body("fail at length", "raise ValueError('a' * 10**6)", ERROR, detail="ValueError: aaa"),
    body("read the environment", "return dict(os.environ), sys.argv", OK, value="({}, [''])"),
    program(
        "read the environment from C",
        "import ctypes\n"
        "def f(x):\n"
        "    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), 'environ')\n"
        "    found, i = [], 0\n"
        "    while environ and environ[i]:\n"
        "        found.append(environ[i].split(b'=')[0]); i += 1\n"
        "    return found",
        OK,
        value="[]",
    ),
    program(
        "find the supervisor's socket",
        "import os, stat\n"
        "def f(x):\n"
        "    kinds = []\n"
        "    for fd in range(64):\n"
        "        try: mode = os.fstat(fd).st_mode\n"
        "        except OSError: continue\n"
        "        kinds.append(stat.S_ISCHR(mode) and 'device' or stat.S_ISFIFO(mode) and 'pipe' or oct(mode))\n"
        "    return kinds",
        OK,
        value="['device', 'device', 'device', 'pipe']",
    ),
    program(
        "read from the result pipe",
        "import os\n"
        "def can(fd):\n"
        "    try: os.read(fd, 1)\n"
        "    except OSError: return False\n"
        "    return True\n"
        "def f(x):\n    return [fd for fd in range(3, 64) if can(fd)]",
        OK,
        value="[]",
    ),
    program(
        "find the answer in frames",
        "import sys\n"
        "def f(x):\n"
        "    frame, seen = sys._getframe(), ''\n"
        "    while frame:\n"
        "        seen += ' '.join(map(str, frame.f_locals)); frame = frame.f_back\n"
        "    return any(word in seen for word in ('gold', 'expected', 'answer'))",
        OK,
        value="False",
    ),
    program(
        "find the answer among all objects",
        "import gc\n"
        "def f(x):\n"
        "    words = [k for d in gc.get_objects() if type(d) is dict for k in list(d) if type(k) is str]\n"
        "    return any(word in ('gold', 'gold_output', 'expected_output') for word in words)",
        OK,
        value="False",
    ),
)  # fmt: skip

_LIES = "    __hash__ = lambda self: 0\n    __eq__ = lambda self, other: True\n    __repr__ = lambda self: '42'\n"
_ALL_EQUAL = f"class A:\n{_LIES}"

FORGERY = (
    program("return what equals everything", f"{_ALL_EQUAL}def f(x): return A()", Outcome.NOT_A_VALUE),
    program("hide it in a list", f"{_ALL_EQUAL}def f(x): return [A()]", Outcome.NOT_A_VALUE),
    program("hide it in a key", f"{_ALL_EQUAL}def f(x): return {{A(): 1}}", Outcome.NOT_A_VALUE),
    *(
        program(
            f"return a subclass of {kind}",
            f"class S({kind}):\n{_LIES}def f(x): return S()",
            Outcome.NOT_A_VALUE,
        )
        for kind in ("str", "int", "float", "bytes", "list", "tuple", "dict", "set", "frozenset", "complex")
    ),
    program(
        "lie about a class",
        "class A:\n    __class__ = property(lambda self: int)\n    __repr__ = lambda self: '42'\ndef f(x): return A()",
        Outcome.NOT_A_VALUE,
    ),
    program(
        "patch what makes text of values",
        "import builtins, json, sys\n"
        "builtins.repr = builtins.str = builtins.ascii = builtins.format = lambda *a: '42'\n"
        "builtins.type = lambda v: int\n"
        "builtins.len = lambda v: 0\n"
        "builtins.isinstance = lambda *a: True\n"
        "json.dumps = lambda *a, **k: '42'\n"
        "sys.modules['azr_sandbox.guest.encode'].encode = lambda *a: '42'\n"
        "def f(x):\n    return [7, 'a']",
        OK,
        value="[7, 'a']",
    ),
    program(
        "patch the C type of int",
        "import ctypes\ndef f(x):\n    try: int.__repr__ = lambda s: '42'\n    except TypeError: return 7",
        OK,
        value="7",
    ),
    body("return NaN, which equals nothing", "return float('nan')", OK, value="nan"),
    body("return a text that looks like a value", "return '1) or True or f(1'", OK, value="'1) or True or f(1'"),
    body("return an empty namespace", "return type('X', (), {})", Outcome.NOT_A_VALUE),
)

NONDETERMINISM = tuple(
    Attack(f"return {name}", program, frozenset({Outcome.NONDETERMINISTIC}), verify=True)
    for name, program in {
        "an address": "def f(x): return id(object())",
        "a hash": "def f(x): return hash('a string')",
        "an object's text": "def f(x): return repr(object())",
        "the order of a set": "def f(x): return list({'apple', 'banana', 'cherry', 'orange', 'kiwi'})",
        "the time": "import time\ndef f(x): return time.time()",
        "the day": "import datetime\ndef f(x): return datetime.date.today().isoformat()",
        "the hour": "import time\ndef f(x): return time.localtime().tm_hour",
        "the uptime": "import time\ndef f(x): return int(time.monotonic()) // 3600",
        "random bytes": "import os\ndef f(x): return os.urandom(8)",
        "a random number": "import random\ndef f(x): return random.random()",
        "a unique name": "import uuid\ndef f(x): return str(uuid.uuid4())",
        "a process id": "import os\ndef f(x): return os.getpid()",
        "its own CPU time": "import time\ndef f(x): return time.process_time_ns()",
        "the uptime by times": "import os\ndef f(x): return int(os.times().elapsed) // 3600",
        "the uptime by posix": "import posix\ndef f(x): return int(posix.times()[4]) // 3600",
        "the year in another zone": "import datetime as d\ndef f(x): return d.datetime.now(d.timezone.utc).year",
        "the year by a subclass": "import datetime as d\nclass D(d.datetime): pass\ndef f(x): return D.now().year",
        "the day in a mail": "import email.utils\ndef f(x): return email.utils.formatdate()[:16]",
        "what it uses": "import resource\ndef f(x): return resource.getrusage(0)[6], resource.getrusage(0)[2]",
        "its thread": "import threading\ndef f(x): return threading.get_ident()",
        "its thread's number": "import threading\ndef f(x): return threading.get_native_id()",
        "a function's text": "def f(x): return str(f)",
        "the text of an error": "def f(x):\n    try: {}[object()]\n    except KeyError as error: return str(error)",
        "where C's functions are": "import ctypes\ndef f(x): return repr(ctypes.CDLL(None).malloc)",
        "memory nobody has written": "import ctypes\ndef f(x):\n    libc = ctypes.CDLL(None)\n"
        "    libc.malloc.restype = ctypes.c_void_p\n    return ctypes.string_at(libc.malloc(4096), 4096).hex()",
        "the kernel's gift of randomness": "import ctypes\ndef f(x):\n    libc = ctypes.CDLL(None)\n"
        "    libc.getauxval.restype = ctypes.c_void_p\n    return ctypes.string_at(libc.getauxval(25), 16)",
        "a set's order in a text": "def f(x): return f\"{set('abcdefgh')}\"",
        "weak references in order": "import weakref\nclass A: pass\ndef f(x):\n    kept = [A() for _ in range(8)]\n"
        "    return [kept.index(a) for a in weakref.WeakSet(kept)]",
        "a number for temporary files": "import tempfile\ndef f(x): return next(tempfile._get_candidate_names())",
        "chance by another name": "def f(x): return [getattr(__import__('ran' + 'dom'), 'ran' + 'dom')()]",
    }.items()
)

SECRET = "quetzal-secret-0451-"
# Walks its own heap page by page; access(2) answers EFAULT for a page that is not there instead of crashing. The
# text looked for is given, and searched, with every byte one higher, so that the scan never finds itself.
_SCAN = f"""
import ctypes
def f(x):
    marker = {bytes(byte + 1 for byte in SECRET.encode() * 3)!r}
    next_byte = bytes(range(1, 256)) + b'\\0'
    libc = ctypes.CDLL(None, use_errno=True)
    libc.access.argtypes = [ctypes.c_void_p, ctypes.c_int]
    found = seen = 0
    for near in (id(object()), id('x' * 600), ctypes.addressof(ctypes.create_string_buffer(1 << 16))):
        start = near // 4096 * 4096
        for page in range(start - (4 << 20), start + (4 << 20), 4096):
            if libc.access(page, 0) == -1 and ctypes.get_errno() == 14:
                continue
            seen += 1
            found += ctypes.string_at(page, 4096).translate(next_byte).count(marker)
    return found, seen > 200
"""
_LEAVE = (
    "import builtins, sys, os, json, signal\n"
    f"KEPT = {SECRET * 3!r}\n"
    "builtins.residue = 1\n"
    "sys.residue = KEPT\n"
    "sys.modules['residue'] = sys\n"
    "sys.setrecursionlimit(77)\n"
    "sys.path.append('/residue')\n"
    "os.environ['residue'] = '1'\n"
    "json.dumps = None\n"
    "signal.signal(signal.SIGUSR1, lambda *a: None)\n"
    "def f(x):\n    return KEPT + str(x)"
)
LEAVE_RESIDUE = program("leave something behind", _LEAVE, OK)
RESIDUE = (
    body("find a builtin left behind", "return 'residue' in dir(__builtins__)", OK, value="False"),
    body("find a module left behind", "return 'residue' in sys.modules or hasattr(sys, 'residue')", OK, value="False"),
    body("find a path left behind", "return '/residue' in sys.path or len(os.environ) > 0", OK, value="False"),
    body("find a limit left behind", "return sys.getrecursionlimit() == 77", OK, value="False"),
    body("find a patch left behind", "return json.dumps(1)", OK, value="'1'"),
    body("find a handler left behind", "return signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL", OK, value="True"),
    program("find a text left in memory", _SCAN, OK, value="(0, True)"),
)  # fmt: skip

GROUPS: dict[str, tuple[Attack, ...]] = {
    "files": FILES,
    "network": NETWORK,
    "processes": PROCESSES,
    "kernel": KERNEL,
    "resources": RESOURCES,
    "interpreter": INTERPRETER,
    "forgery": FORGERY,
    "nondeterminism": NONDETERMINISM,
    "residue": RESIDUE,
}
