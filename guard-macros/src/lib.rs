//! The attributes `#[destructive_fixture]` and `#[guarded_test]` of [fixture-guard](https://docs.rs/fixture-guard).
//!
//! Use it through that crate, which re-exports it and holds everything that the expanded code calls.
//!
//! One way: `parse` reads the syntax; `options`, `attributes`, `signature` and `diagnose` judge it; a `model` exists
//! only of what can be expanded; `expand` writes it down. Where another macro must go first, `postpone` does.

mod attributes;
mod diagnose;
mod expand;
mod guarded_test;
mod model;
mod options;
mod parse;
mod postpone;
mod problem;
mod signature;

use proc_macro::TokenStream;

/// Guards an async function that destroys rows: its body runs only on a database that the team declared disposable.
///
/// The first parameter after `self` is the connection. What a caller hands over for it, a pool, connect options, a
/// DSN or a guarded transaction, is judged before anything is opened; the body then runs on one connection in a
/// transaction that only the guard can commit.
///
/// ```
/// # use fixture_guard::sqlx;
/// use fixture_guard::destructive_fixture;
/// use sqlx::PgConnection;
///
/// #[destructive_fixture(hosts = ["*-staging*"], tables = ["categories", "cms_blocks"], max_rows = 10_000)]
/// async fn reset_db(conn: &mut PgConnection) -> sqlx::Result<()> {
///     sqlx::query("TRUNCATE categories, cms_blocks CASCADE").execute(conn).await?;
///     Ok(())
/// }
///
/// # async fn calls(pool: fixture_guard::PgPool) -> sqlx::Result<()> {
/// reset_db(&pool).await?; // every call site stays as it was
/// # Ok(())
/// # }
/// ```
///
/// # Options
///
/// All are optional, and each can only narrow what the team's policy allows.
///
/// | option | value | meaning |
/// | --- | --- | --- |
/// | `hosts` | list of patterns | the host must match one of them; `*` and `?` are wildcards |
/// | `databases` | list of patterns | the database's name must match one of them |
/// | `environment` | `"staging"` | the target must be this environment of `fixture-guard.toml` |
/// | `tables` | list of `table` or `schema.table` | nothing else may be written; other names are quoted, `r#""Weird Name""#` |
/// | `max_rows` | whole number | how many rows may be removed, in all tables together |
/// | `reach` | list of `kind:name` | what may reach out of the database, such as `"trigger:audit_log"`; `*` and `?` are wildcards |
/// | `statement_timeout` | `"90s"`, `"2m"` | how long a statement may take; the policy may state less |
/// | `lock_timeout` | `"10s"` | how long a statement may wait for a lock; the policy may state less |
/// | `on_success` | `"commit"` or `"rollback"` | how the transaction ends when the body succeeds; the default is `"commit"` |
/// | `crate` | path, or string with a path | where the library is, if not at `::fixture_guard` |
///
/// An empty list, an empty string, a value that stands there twice and a pattern that names nothing (`*`, `*.*`) do
/// not compile.
///
/// # The function
///
/// - **The connection** is written `conn: &mut PgConnection`, or `conn: &mut GuardedTransaction` for a body that calls
///   functions which demand that proof. To the caller it is `impl IntoTarget<PgConnection>`. A caller that holds a
///   `&mut GuardedTransaction` and needs it again afterwards passes `&mut *tx`: a generic parameter does not reborrow.
/// - **It returns** a `Result` whose error type has `From<fixture_guard::Error>`, which then holds a refusal; or
///   anything else, and then a refusal panics and names the caller's line.
/// - Visibility, generics, lifetimes, `where`, `self`, patterns, other parameters and documentation stay as written,
///   and the future is [`Send`] where the body, the other arguments and the returned value are.
/// - In an `impl` of a trait, the trait declares `async fn reset(&self, conn: impl IntoTarget<PgConnection>)`.
///   `#[async_trait]` rewrites the method before we see it: let the method call a guarded function.
///
/// # Other attributes
///
/// `#[destructive_fixture]` goes on top. Built-in attributes stay on the function. A macro such as
/// `#[tracing::instrument]` has its turn first and sees the function as you wrote it: on the guarded one it could
/// record what the caller passes, and that may be a DSN. A macro that would drop the guard on the way is an error.
/// Tests and rstest's `#[fixture]` cannot be marked; they call a function that is.
#[proc_macro_attribute]
pub fn destructive_fixture(arguments: TokenStream, item: TokenStream) -> TokenStream {
    destructive_fixture_tokens(arguments.into(), &item.into()).into()
}

/// A test in a transaction that nobody ever commits.
///
/// The database is judged once, before the body runs; everything that the body and the fixtures which it calls do is
/// rolled back. It is to `#[sqlx::test]` what a transaction is to a new database: tests run in parallel on one
/// database and do not see each other, and nothing is created or dropped.
///
/// ```
/// # use fixture_guard::sqlx;
/// use fixture_guard::{GuardedTransaction, destructive_fixture, guarded_test};
/// # use sqlx::PgConnection;
///
/// #[destructive_fixture]
/// async fn reset_db(conn: &mut PgConnection) -> sqlx::Result<()> {
///     sqlx::query("TRUNCATE categories CASCADE").execute(conn).await?;
///     Ok(())
/// }
///
/// #[guarded_test(hosts = ["*-staging*"])]
/// async fn lists_what_was_seeded(tx: &mut GuardedTransaction) -> sqlx::Result<()> {
///     reset_db(&mut *tx).await?; // nests as a savepoint
///     sqlx::query("INSERT INTO categories (name) VALUES ('shoes')").execute(tx).await?;
///     Ok(())
/// }
/// ```
///
/// # Options
///
/// | option | value | meaning |
/// | --- | --- | --- |
/// | `target` | expression | a DSN, connect options or a pool; it may `.await`. Without it, the variable `DATABASE_URL` says |
/// | `hosts`, `databases`, `environment` | as in [`destructive_fixture`](macro@destructive_fixture) | what the target must be besides |
/// | `statement_timeout`, `lock_timeout` | as in [`destructive_fixture`](macro@destructive_fixture) | how long a statement may take, and wait for a lock |
/// | `crate` | path | where the library is, if not at `::fixture_guard` |
///
/// A `.env` file is not read: nobody sees in a test's call that it would be. Where one is wanted,
/// `target = dotenvy::var("DATABASE_URL").unwrap()` says so.
///
/// # The function
///
/// - It is an `async fn` with one parameter, `tx: &mut GuardedTransaction`, or a `&mut PgConnection`.
/// - It returns what tests return. `#[ignore]`, `#[should_panic]`, `#[cfg]` and lint levels are kept; another macro, such
///   as `#[tracing::instrument]`, sees the function as you wrote it. `#[tokio::test]` and the like are not needed, and
///   cannot stand beside it.
/// - A refusal panics. Under `#[should_panic]` it is printed instead, so that the test fails.
///
/// It brings a single-threaded runtime of its own, and what it spawned ends with it. Connections belong to a thread in
/// the background and are used again by the next test of the process; only those of a pool that `target` hands over
/// belong to the test's runtime.
#[proc_macro_attribute]
pub fn guarded_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    guarded_test::tokens(arguments.into(), &item.into()).into()
}

fn destructive_fixture_tokens(
    arguments: proc_macro2::TokenStream,
    item: &proc_macro2::TokenStream,
) -> proc_macro2::TokenStream {
    match model::read(arguments, item) {
        Ok(model::Reading::Expand(fixture)) => expand::fixture(&fixture),
        Ok(model::Reading::Postpone(item)) | Err(item) => item,
    }
}
