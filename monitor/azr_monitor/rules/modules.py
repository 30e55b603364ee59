"""Modules by what they lead to, and what in them is harmless or the same every time."""

from __future__ import annotations

from collections.abc import Mapping

from azr_monitor.rules.syntax import words

PROCESS = words(
    "os posix nt subprocess _posixsubprocess pty signal psutil pexpect resource multiprocessing "
    "concurrent.futures.process platform pwd grp spwd crypt syslog curses termios tty"
)
NETWORK = words(
    "socket _socket ssl _ssl urllib http requests ftplib smtplib poplib imaplib nntplib telnetlib socketserver "
    "xmlrpc aiohttp httpx httpcore urllib3 websockets websocket paramiko select selectors asyncore asynchat "
    "webbrowser cgi wsgiref boto3 dns twisted tornado flask zmq"
)
NATIVE = words("ctypes _ctypes cffi _cffi_backend mmap faulthandler numba cython pyximport")
FILES = words(
    "pathlib shutil tempfile glob fileinput fcntl sqlite3 dbm zipfile tarfile gzip bz2 lzma shelve linecache "
    "filecmp stat configparser logging mailbox netrc os.path posixpath ntpath _io"
)
DYNAMIC = words(
    "importlib _imp imp builtins __builtin__ runpy code codeop pkgutil zipimport zipapp pickle _pickle cPickle dill "
    "cloudpickle marshal joblib yaml _frozen_importlib"
)
INTERPRETER = words(
    "sys gc inspect traceback dis types site sysconfig atexit weakref tracemalloc warnings symtable pdb bdb trace "
    "cProfile profile doctest unittest pytest _testcapi _xxsubinterpreters _interpreters ensurepip pip setuptools "
    "__main__ sre_compile opcode"
)
THREADS = words("threading _thread concurrent asyncio sched greenlet gevent trio anyio")
CHANCE = words("random secrets uuid time timeit _random locale zoneinfo")

_PATHS = words(
    "join basename dirname split splitext normpath commonprefix commonpath isabs sep extsep splitdrive pardir curdir"
)
HARMLESS: Mapping[str, frozenset[str]] = {
    "sys": words(
        "maxsize maxunicode float_info int_info hash_info byteorder version_info implementation setrecursionlimit "
        "getrecursionlimit intern set_int_max_str_digits exit version stdout.write stdout.flush stderr.write "
        "float_repr_style getsizeof stdin stdin.readline stdin.read"
    ),
    "os": frozenset({*(f"path.{name}" for name in _PATHS), "sep", "linesep", "pathsep"}),
    "os.path": _PATHS,
    "posixpath": _PATHS,
    "ntpath": _PATHS,
    "pathlib": words("PurePath PurePosixPath PureWindowsPath"),
    "types": words("SimpleNamespace MappingProxyType GeneratorType NoneType UnionType BuiltinFunctionType ModuleType"),
    "inspect": words(
        "signature Parameter isfunction isclass ismethod isgenerator isgeneratorfunction iscoroutinefunction getdoc "
        "cleandoc Signature isabstract"
    ),
    "weakref": words("ref proxy WeakValueDictionary WeakKeyDictionary WeakSet finalize WeakMethod"),
    "warnings": words("warn filterwarnings simplefilter catch_warnings"),
    "traceback": words("format_exc print_exc format_exception_only"),
    "threading": words("Lock RLock local Semaphore Condition Event"),
    "asyncio": words(
        "run gather sleep Queue PriorityQueue Lock Event Semaphore create_task wait wait_for iscoroutinefunction "
        "TaskGroup Future ensure_future new_event_loop get_event_loop CancelledError as_completed TimeoutError"
    ),
    "uuid": words("UUID uuid3 uuid5 NAMESPACE_DNS NAMESPACE_URL"),
    "urllib": words("parse"),
    "urllib.parse": frozenset({"*"}),
    "http": words("HTTPStatus"),
    "gc": words("collect enable disable"),
    "logging": words(
        "getLogger info debug warning error critical DEBUG INFO WARNING ERROR CRITICAL Formatter StreamHandler "
        "NullHandler disable Logger"
    ),
}
"""What a module has that neither leads anywhere nor varies: using nothing else of it is only noted."""

STEADY: Mapping[str, frozenset[str]] = {
    "sys": words("maxsize maxunicode float_info int_info setrecursionlimit getrecursionlimit intern"),
    "random": frozenset({"*"}),  # what has a seed gives the same every time
    "time": frozenset({"*"}),  # what converts a time it is given
    "os.path": _PATHS,
    "pathlib": words("PurePath PurePosixPath PureWindowsPath"),
    "inspect": HARMLESS["inspect"],
    "threading": words("Lock RLock"),
    "types": words("SimpleNamespace MappingProxyType NoneType UnionType"),
    "urllib.parse": frozenset({"*"}),
    "urllib": words("parse"),
    "http": words("HTTPStatus"),
}

FAMILIES = (PROCESS, NETWORK, NATIVE, FILES, DYNAMIC, INTERPRETER, THREADS, CHANCE)
