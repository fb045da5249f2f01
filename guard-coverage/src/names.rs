//! The names that databases are called by. Lists, so that a new driver is a new row.

/// The type that only the guard makes.
pub(crate) const PROOF: &str = "GuardedTransaction";

/// Crates whose functions are never the workspace's own.
pub(crate) const DRIVERS: [&str; 17] = [
    "sqlx",
    "sqlx_core",
    "diesel",
    "diesel_async",
    "sea_orm",
    "sea_query",
    "tokio_postgres",
    "postgres",
    "rusqlite",
    "mysql",
    "mysql_async",
    "duckdb",
    "libsql",
    "welds",
    "ormx",
    "deadpool_postgres",
    "clickhouse",
];

/// Functions whose first argument is SQL.
const FUNCTIONS: [&str; 13] = [
    "query",
    "query_as",
    "query_scalar",
    "query_with",
    "query_as_with",
    "query_scalar_with",
    "raw_sql",
    "sql_query",
    "query_with_result",
    "raw_query",
    "execute",
    "batch_execute",
    "execute_batch",
];

/// Methods whose first argument is SQL, if it is text.
const METHODS: [&str; 62] = [
    // sqlx's executors
    "execute",
    "execute_many",
    "fetch",
    "fetch_all",
    "fetch_many",
    "fetch_one",
    "fetch_optional",
    "prepare",
    "prepare_with",
    // postgres, tokio-postgres
    "batch_execute",
    "simple_query",
    "simple_query_raw",
    "query",
    "query_one",
    "query_opt",
    "query_raw",
    "query_typed",
    "query_typed_raw",
    "query_scalar",
    "query_scalar_opt",
    "execute_raw",
    "execute_typed",
    "prepare_typed",
    "prepare_typed_cached",
    // rusqlite, duckdb, libsql
    "execute_batch",
    "execute_batch_sync",
    "execute_transactional_batch",
    "prepare_cached",
    "query_row",
    "query_row_and_then",
    "query_map",
    "query_arrow",
    "execute_many_sync",
    "query_as",
    // mysql, mysql_async
    "query_drop",
    "query_iter",
    "query_first",
    "query_fold",
    "query_stream",
    "exec",
    "exec_drop",
    "exec_batch",
    "exec_first",
    "exec_iter",
    "exec_map",
    "exec_fold",
    "exec_stream",
    "exec_opt",
    "prep",
    // diesel, sea-orm
    "sql_query",
    "execute_unprepared",
    "query_all",
    "query_one_raw",
    "query_all_raw",
    "exec_raw",
    // others
    "raw_sql",
    "raw_query",
    "query_unpaged",
    "query_single_page",
    "sql",
    "batch",
    "query_async",
];

/// Words that make an unknown name a database's: `run_sql`, `exec_ddl`.
const WORDS: [&str; 7] = ["sql", "query", "queries", "exec", "execute", "ddl", "psql"];

/// Words with which it only looks at the text, or takes it apart: `parse_sql`, `assert_query`.
const LOOKING: [&str; 57] = [
    "analyze",
    "as",
    "assert",
    "captured",
    "check",
    "classify",
    "clean",
    "compare",
    "compile",
    "contains",
    "count",
    "debug",
    "describe",
    "did",
    "diff",
    "display",
    "eq",
    "escape",
    "executed",
    "expect",
    "explain",
    "extract",
    "fingerprint",
    "fmt",
    "format",
    "formatter",
    "from",
    "generate",
    "generated",
    "hash",
    "highlight",
    "into",
    "lex",
    "lint",
    "mock",
    "normalize",
    "parse",
    "parser",
    "plan",
    "pretty",
    "print",
    "received",
    "recorded",
    "redact",
    "render",
    "rewrite",
    "sanitize",
    "saw",
    "should",
    "split",
    "to",
    "tokenize",
    "trace",
    "transpile",
    "validate",
    "verified",
    "verify",
];

/// Words with which it only looks at the text if they come first: `with_query`, and not `execute_sql_with_return`.
const LOOKING_FIRST: [&str; 17] = [
    "add", "build", "find", "get", "has", "is", "last", "log", "match", "new", "on", "record", "set", "was",
    "were", "when", "with",
];

/// Whether a function with this name takes SQL as its first argument.
pub(crate) fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name) || sounds_like_one(name)
}

/// Whether a method with this name takes SQL as its first argument.
pub(crate) fn is_method(name: &str) -> bool {
    METHODS.contains(&name) || sounds_like_one(name)
}

fn sounds_like_one(name: &str) -> bool {
    let mut words = name.split('_');
    name.contains('_')
        && name.split('_').any(|word| WORDS.contains(&word))
        && !name.split('_').next().is_some_and(|first| LOOKING_FIRST.contains(&first))
        && !words.any(|word| LOOKING.contains(&word))
}

/// Macros of SQL: at which argument the text stands, and whether it is a file's name.
pub(crate) fn sql_macro(name: &str) -> Option<(usize, bool)> {
    let name = name.strip_suffix("_unchecked").unwrap_or(name);
    match name {
        "query" | "query_scalar" | "sql_query" | "raw_sql" => Some((0, false)),
        "query_as" => Some((1, false)),
        "query_file" | "query_file_scalar" => Some((0, true)),
        "query_file_as" => Some((1, true)),
        _ => None,
    }
}

/// What sends a statement that was built before: diesel's and sea-orm's last calls of a chain.
pub(crate) const SENDS: [&str; 21] = [
    "execute",
    "exec",
    "exec_with_returning",
    "exec_without_returning",
    "get_result",
    "get_results",
    "load",
    "load_iter",
    "first",
    "fetch",
    "fetch_all",
    "fetch_one",
    "fetch_optional",
    "fetch_many",
    "execute_many",
    "run",
    "ignore",
    "one",
    "all",
    "stream",
    "execute_async",
];

/// Methods of text that send it: `"TRUNCATE users".execute(&pool)`, mysql's `"…".ignore(&mut conn)`.
pub(crate) const TEXT_SENDS: [&str; 9] =
    ["execute", "run", "ignore", "fetch", "fetch_all", "fetch_one", "fetch_optional", "execute_many", "with"];

/// Methods that take a statement of a builder.
pub(crate) const TAKES_STATEMENT: [&str; 10] = [
    "drop_table",
    "truncate_table",
    "alter_table",
    "drop_index",
    "drop_type",
    "drop_foreign_key",
    "exec_stmt",
    "drop_view",
    "execute_raw",
    "query_one_raw",
];

/// What narrows an update: `WHERE` of the builders.
pub(crate) const FILTERS: [&str; 11] = [
    "filter",
    "find",
    "and_where",
    "cond_where",
    "and_where_option",
    "or_filter",
    "filter_by_id",
    "where_",
    "r#where",
    "and_where_in",
    "where_col",
];

/// Methods that return what they are called on, as far as text goes.
pub(crate) const SAME: [&str; 58] = [
    "to_string",
    "to_owned",
    "into",
    "as_str",
    "as_ref",
    "clone",
    "cloned",
    "copied",
    "borrow",
    "as_bytes",
    "into_bytes",
    "trim",
    "trim_end",
    "trim_start",
    "unwrap",
    "expect",
    "unwrap_or_default",
    "unwrap_or",
    "unwrap_or_else",
    "iter",
    "into_iter",
    "iter_mut",
    "split",
    "lines",
    "split_terminator",
    "split_inclusive",
    "split_whitespace_",
    "filter",
    "skip",
    "take",
    "rev",
    "collect",
    "as_deref",
    "as_mut",
    "to_vec",
    "into_boxed_str",
    "into_string",
    "as_slice",
    "chain",
    "ok",
    "ok_or",
    "ok_or_else",
    "map_err",
    "context",
    "with_context",
    "next",
    "last",
    "nth",
    "first",
    "get",
    "peekable",
    "deref",
    "into_owned",
    "inspect",
    "by_ref",
    "enumerate_",
    "unwrap_unchecked",
    "leak",
];

/// Calls that return their argument, as far as text goes.
pub(crate) const WRAPS: [&str; 14] = [
    "AssertSqlSafe",
    "Some",
    "Ok",
    "from",
    "Borrowed",
    "Owned",
    "from_static",
    "black_box",
    "from_string",
    "from_sql_and_values",
    "from_utf8_lossy",
    "into",
    "to_string",
    "to_owned",
];

/// Attributes whose last name makes a function a test, or a part of one.
const TESTS: [&str; 9] = [
    "rstest",
    "test_case",
    "fixture",
    "wasm_bindgen_test",
    "bench",
    "quickcheck",
    "test_context",
    "given",
    "googletest",
];

/// Whether an attribute with this last name marks a test.
pub(crate) fn is_test_attribute(name: &str) -> bool {
    name == "test" || name.ends_with("_test") || name.starts_with("test_") || TESTS.contains(&name)
}

/// Whether a type of the workspace is called as connections are, and not as what stands in for one. The methods of such a
/// type send what they are given, even where the last step is hidden: in a trait, in C, on the wire.
pub(crate) fn is_connection_type(name: &str) -> bool {
    let name = name.to_lowercase();
    let known = ["conn", "client", "pool", "transaction", "session", "database", "executor"];
    let stands_in = [
        "mock", "fake", "stub", "dummy", "noop", "parse", "memory", "record", "spy", "format", "log", "plan",
    ];
    (known.iter().any(|word| name.contains(word)) || name.ends_with("db"))
        && !stands_in.iter().any(|word| name.contains(word))
}

/// Whether a driver calls a method so, and not only something like it.
pub(crate) fn is_driver_method(name: &str) -> bool {
    METHODS.contains(&name)
}
