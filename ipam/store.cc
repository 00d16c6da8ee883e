#include "ipam/store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <system_error>

namespace weft::ipam {

namespace {

constexpr int schema_version = 4;
/// How long a weftd that is going down may keep the next one waiting at open().
constexpr int busy_timeout_ms = 2000;

// One row an ordinal that was ever used. `holder` is the last line of defence: no attachment holds
// two addresses.
constexpr const char* schema = R"sql(
  CREATE TABLE block (
    id INTEGER PRIMARY KEY,
    pool TEXT NOT NULL, number INTEGER NOT NULL, ipv4 TEXT NOT NULL, ipv6 TEXT NOT NULL,
    UNIQUE (pool, number, ipv4, ipv6)
  ) STRICT;
  CREATE TABLE address (
    block INTEGER NOT NULL, ordinal INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('held', 'free')),
    network TEXT NOT NULL, container TEXT NOT NULL, ifname TEXT NOT NULL, host_ifname TEXT NOT NULL,
    netns TEXT NOT NULL, netns_inode INTEGER NOT NULL,
    boot_id TEXT NOT NULL, at INTEGER NOT NULL, sequence INTEGER NOT NULL,
    PRIMARY KEY (block, ordinal)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX holder ON address (host_ifname) WHERE state = 'held';
  PRAGMA user_version = 1;
)sql";

// What version 2 adds, to a new database as to one of version 1.
constexpr const char* schema_of_claims = R"sql(
  CREATE TABLE claim (
    pool TEXT NOT NULL, number INTEGER NOT NULL, ipv4 TEXT NOT NULL, ipv6 TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('claiming', 'owned', 'releasing', 'lost')),
    PRIMARY KEY (pool, number, ipv4, ipv6)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO fact VALUES ('incarnation', lower(hex(randomblob(16))));
  PRAGMA user_version = 2;
)sql";

// What version 3 adds.
constexpr const char* schema_of_delegation = R"sql(
  ALTER TABLE address ADD COLUMN delegated INTEGER NOT NULL DEFAULT 0;
  PRAGMA user_version = 3;
)sql";

// What version 4 adds.
constexpr const char* schema_of_exceptions = R"sql(
  ALTER TABLE address ADD COLUMN borrowed INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE lent (
    block INTEGER NOT NULL, ordinal INTEGER NOT NULL, host TEXT NOT NULL,
    PRIMARY KEY (block, ordinal)
  ) STRICT, WITHOUT ROWID;
  PRAGMA user_version = 4;
)sql";

constexpr std::string_view hold_sql = R"sql(
  INSERT INTO address (block, ordinal, state, network, container, ifname, netns, netns_inode, boot_id, at,
                       sequence, host_ifname, delegated, borrowed)
  VALUES (?1, ?2, 'held', ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
  ON CONFLICT (block, ordinal) DO UPDATE SET state = 'held', network = ?3, container = ?4, ifname = ?5,
    netns = ?6, netns_inode = ?7, boot_id = ?8, at = ?9, sequence = ?10, host_ifname = ?11,
    delegated = ?12, borrowed = ?13
    WHERE state = 'free'
)sql";

constexpr std::string_view free_sql = R"sql(
  UPDATE address SET state = 'free', boot_id = ?4, at = ?5
  WHERE block = ?1 AND ordinal = ?2 AND sequence = ?3 AND state = 'held'
)sql";

// Free ones first, in the order they were freed: a replay must not hold what it has yet to free.
constexpr std::string_view load_sql = R"sql(
  SELECT block, ordinal, state, network, container, ifname, netns, netns_inode, boot_id, at, sequence,
         host_ifname, delegated, borrowed
  FROM address ORDER BY state = 'held', at, sequence
)sql";

std::int64_t nanoseconds(Time time) {
  return time.time_since_epoch().count();
}

std::string prefix_text(const std::optional<Prefix>& prefix) {
  return prefix ? prefix->text() : std::string();
}

std::optional<Prefix> prefix_of(const std::string& text) {
  const auto prefix = Prefix::parse(text);
  return prefix ? std::optional(*prefix) : std::nullopt;
}

/// Numbers of a lost database cannot be read back, but they were taken from this clock too. Only
/// uniqueness hangs on it.
std::uint64_t wall_clock_sequence() {
  using std::chrono::microseconds;
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<microseconds>(since).count());
}

Error failure(sqlite3* database, std::string_view doing) {
  return Error{fmt::format("{}: {}", doing, sqlite3_errmsg(database))};
}

bool is_unreadable(int code) {
  return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

/// Binds and reads one prepared statement, which is reset when it goes out of scope.
class Query {
 public:
  explicit Query(sqlite3_stmt* statement) : statement_(statement) {}
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  ~Query() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }

  void bind(int index, std::int64_t value) { sqlite3_bind_int64(statement_, index, value); }
  /// `value` must outlive the query.
  void bind(int index, const std::string& value) {
    sqlite3_bind_text(statement_, index, value.data(), static_cast<int>(value.size()),
                      SQLITE_STATIC);
  }
  int step() { return sqlite3_step(statement_); }

  std::int64_t number(int column) { return sqlite3_column_int64(statement_, column); }
  std::string text(int column) {
    const unsigned char* value = sqlite3_column_text(statement_, column);
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return value == nullptr ? std::string()
                            : std::string(reinterpret_cast<const char*>(value), size);
  }

 private:
  sqlite3_stmt* statement_;
};

}  // namespace

void Store::CloseDatabase::operator()(sqlite3* database) const {
  sqlite3_close_v2(database);
}
void Store::FinalizeStatement::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Result<Store> Store::open(const std::filesystem::path& directory) {
  std::error_code fault;
  if (!std::filesystem::is_directory(directory, fault)) {
    return Error{
        fmt::format("{}: no such directory; weftd keeps its state there", directory.string())};
  }
  const std::filesystem::path path = directory / "weft.db";
  Store store;
  store.path_ = path;
  auto opened = store.open_database(path);
  if (opened && *opened == Readable::no) {
    const auto moved = store.move_aside(path);
    if (!moved) return moved.error();
    opened = store.open_database(path);
  }
  if (!opened) return opened.error().within(path.string());
  if (*opened == Readable::no) {
    return Error{
        fmt::format("{}: a new database cannot be read back; is the disk good?", path.string())};
  }
  return store;
}

Result<Store::Readable> Store::open_database(const std::filesystem::path& path) {
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int opened = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  database_.reset(raw);
  if (opened != SQLITE_OK) return failure(raw, "cannot be opened");
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, busy_timeout_ms);
  // Exclusive: no other process may look, and a commit needs neither lock calls nor shared memory.
  for (const char* pragma : {"PRAGMA locking_mode = EXCLUSIVE", "PRAGMA journal_mode = WAL",
                             "PRAGMA synchronous = NORMAL"}) {
    const int done = sqlite3_exec(raw, pragma, nullptr, nullptr, nullptr);
    if (is_unreadable(done)) return Readable::no;
    if (done == SQLITE_BUSY) return Error{"in use by another weftd"};
    if (done != SQLITE_OK) return failure(raw, pragma);
  }
  const auto statement = prepared("PRAGMA quick_check(1)");
  if (!statement) return Readable::no;
  {
    Query query(*statement);
    if (query.step() != SQLITE_ROW || query.text(0) != "ok") return Readable::no;
  }
  return check_schema();
}

Result<Store::Readable> Store::check_schema() {
  int version = 0;
  std::uint64_t last_sequence = 0;
  {
    const auto statement = prepared("PRAGMA user_version");
    if (!statement) return statement.error();
    Query query(*statement);
    if (query.step() == SQLITE_ROW) version = static_cast<int>(query.number(0));
  }
  if (version > schema_version) {
    return Error{fmt::format("written by a newer weft (schema {}); this weft knows schema {}",
                             version, schema_version)};
  }
  if (version < schema_version) {
    const std::string sql = fmt::format(
        "BEGIN; {} {} {} {} COMMIT", version < 1 ? schema : "", version < 2 ? schema_of_claims : "",
        version < 3 ? schema_of_delegation : "", schema_of_exceptions);
    if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
      // Tables without a version are none of ours.
      return failure(database_.get(), "the schema cannot be made");
    }
  }
  if (!load_incarnation()) return Readable::no;
  const auto statement = prepared("SELECT ifnull(max(sequence), 0) FROM address");
  if (!statement) return Readable::no;
  Query query(*statement);
  if (query.step() != SQLITE_ROW) return Readable::no;
  last_sequence = static_cast<std::uint64_t>(query.number(0));
  next_sequence_ = std::max(last_sequence + 1, wall_clock_sequence());
  return Readable::yes;
}

Result<void> Store::move_aside(const std::filesystem::path& path) {
  statements_.clear();
  database_.reset();
  const std::string aside = fmt::format("{}.unreadable-{}", path.string(), wall_clock_sequence());
  std::error_code fault;
  std::filesystem::rename(path, aside, fault);
  if (fault) {
    return Error{fmt::format("{} cannot be read, nor moved to {}: {}", path.string(), aside,
                             fault.message())};
  }
  // A log beside a database it does not belong to would be replayed into the new one.
  for (const char* suffix : {"-wal", "-shm"}) {
    std::filesystem::rename(path.string() + suffix, aside + suffix, fault);
    if (fault && fault != std::errc::no_such_file_or_directory) {
      return Error{fmt::format("{}{} cannot be moved to {}{}: {}", path.string(), suffix, aside,
                               suffix, fault.message())};
    }
  }
  moved_aside_ = fmt::format(
      "the database {} could not be read and is now {}; leases are read back from the links",
      path.string(), aside);
  return {};
}

Result<sqlite3_stmt*> Store::prepared(std::string_view sql) {
  const auto found = statements_.find(sql);
  if (found != statements_.end()) return found->second.get();
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &raw, nullptr) != SQLITE_OK) {
    return failure(database_.get(), "statement");
  }
  statements_.emplace(sql, Statement(raw));
  return raw;
}

Result<void> Store::restart_cool_downs(const std::string& boot_id, Time now) {
  // One nanosecond apart, so that the order they were freed in stays.
  const auto statement = prepared(R"sql(
    UPDATE address SET boot_id = ?1, at = ?2 - latest + rank
    FROM (SELECT block AS b, ordinal AS o, row_number() OVER (ORDER BY at, sequence) AS rank,
                 count() OVER () AS latest
          FROM address WHERE state = 'free' AND boot_id <> ?1)
    WHERE block = b AND ordinal = o
  )sql");
  if (!statement) return statement.error();
  Query query(*statement);
  query.bind(1, boot_id);
  query.bind(2, nanoseconds(now));
  if (query.step() != SQLITE_DONE)
    return failure(database_.get(), "the addresses of an earlier boot");
  return {};
}

Result<Changes> Store::load(const std::string& boot_id, Time now) {
  const auto restarted = restart_cool_downs(boot_id, now);
  if (!restarted) return restarted.error();
  std::map<std::int64_t, BlockId> blocks;
  block_rows_.clear();
  {
    const auto statement = prepared("SELECT id, pool, number, ipv4, ipv6 FROM block");
    if (!statement) return statement.error();
    Query query(*statement);
    while (query.step() == SQLITE_ROW) {
      BlockId id{query.text(1), static_cast<std::uint32_t>(query.number(2)),
                 prefix_of(query.text(3)), prefix_of(query.text(4))};
      if (!id.ipv4 && !id.ipv6) continue;
      block_rows_[id] = query.number(0);
      blocks[query.number(0)] = std::move(id);
    }
  }
  Changes changes;
  if (auto loaded = load_claims(changes); !loaded) return loaded.error();
  if (auto loaded = load_lent(blocks, changes); !loaded) return loaded.error();
  const auto statement = prepared(load_sql);
  if (!statement) return statement.error();
  Query query(*statement);
  int step = query.step();
  for (; step == SQLITE_ROW; step = query.step()) {
    const auto block = blocks.find(query.number(0));
    const auto ordinal = static_cast<std::uint32_t>(query.number(1));
    if (block == blocks.end() || ordinal >= block->second.capacity()) continue;
    const Time at(std::chrono::nanoseconds(query.number(9)));
    const auto sequence = static_cast<std::uint64_t>(query.number(10));
    if (query.text(2) == "held") {
      changes.emplace_back(Held{{{query.text(3), query.text(4), query.text(5)},
                                 query.text(11),
                                 block->second,
                                 ordinal,
                                 query.text(6),
                                 static_cast<std::uint64_t>(query.number(7)),
                                 query.text(8),
                                 at,
                                 sequence,
                                 query.number(12) != 0,
                                 query.number(13) != 0}});
    } else {
      changes.emplace_back(Freed{block->second, ordinal, at, boot_id, sequence});
    }
  }
  if (step != SQLITE_DONE) return failure(database_.get(), "the addresses cannot be read");
  return changes;
}

Result<void> Store::load_lent(const std::map<std::int64_t, BlockId>& blocks, Changes& changes) {
  const auto statement = prepared("SELECT block, ordinal, host FROM lent");
  if (!statement) return statement.error();
  Query query(*statement);
  int step = query.step();
  for (; step == SQLITE_ROW; step = query.step()) {
    const auto block = blocks.find(query.number(0));
    const auto ordinal = static_cast<std::uint32_t>(query.number(1));
    if (block == blocks.end() || ordinal >= block->second.capacity()) continue;
    changes.emplace_back(Lent{block->second, ordinal, query.text(2)});
  }
  if (step != SQLITE_DONE) return failure(database_.get(), "what is lent cannot be read");
  return {};
}

Result<void> Store::load_incarnation() {
  const auto statement = prepared("SELECT value FROM fact WHERE name = 'incarnation'");
  if (!statement) return statement.error();
  Query query(*statement);
  if (query.step() != SQLITE_ROW) return Error{"no incarnation"};
  incarnation_ = query.text(0);
  return {};
}

Result<void> Store::load_claims(Changes& changes) {
  const auto statement = prepared("SELECT pool, number, ipv4, ipv6, state FROM claim");
  if (!statement) return statement.error();
  Query query(*statement);
  int step = query.step();
  for (; step == SQLITE_ROW; step = query.step()) {
    const BlockId block{query.text(0), static_cast<std::uint32_t>(query.number(1)),
                        prefix_of(query.text(2)), prefix_of(query.text(3))};
    if (!block.ipv4 && !block.ipv6) continue;
    for (const ClaimState state :
         {ClaimState::claiming, ClaimState::owned, ClaimState::releasing, ClaimState::lost}) {
      if (name(state) == query.text(4)) changes.emplace_back(Claimed{block, state});
    }
  }
  if (step != SQLITE_DONE) return failure(database_.get(), "the claims cannot be read");
  return {};
}

Result<void> Store::commit(const Changes& changes) {
  if (changes.empty()) return {};
  // A claim must outlive a power cut, and so must what is lent: other hosts know of it. Addresses
  // need not, for the containers that held them are gone then.
  const bool durable = std::any_of(changes.begin(), changes.end(), [](const Change& change) {
    return std::holds_alternative<Claimed>(change) || std::holds_alternative<Unclaimed>(change) ||
           std::holds_alternative<Lent>(change) || std::holds_alternative<Returned>(change);
  });
  if (durable)
    sqlite3_exec(database_.get(), "PRAGMA synchronous = FULL", nullptr, nullptr, nullptr);
  auto done = execute("BEGIN IMMEDIATE");
  if (!done) return done;
  for (const Change& change : changes) {
    done = std::visit([&](const auto& of) { return write(of); }, change);
    if (!done) break;
  }
  if (done) done = execute("COMMIT");
  if (!done) {
    // What is not on disk must not be remembered either.
    block_rows_.clear();
    sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
  if (durable)
    sqlite3_exec(database_.get(), "PRAGMA synchronous = NORMAL", nullptr, nullptr, nullptr);
  return done;
}

std::string Store::loss() const {
  int moved = 0;
  sqlite3_file_control(database_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  const std::string log = path_.string() + "-wal";
  std::error_code fault;
  const bool log_is_gone = !std::filesystem::exists(log, fault) && !fault;
  if (moved == 0 && !log_is_gone) return {};
  return fmt::format(
      "the database {} was deleted or replaced while weftd runs: what changes now is "
      "lost with this weftd",
      moved != 0 ? path_.string() : log);
}

Result<void> Store::write_anew() {
  const std::string copy = path_.string() + ".anew";
  std::error_code fault;
  std::filesystem::remove(copy, fault);
  {
    const auto statement = prepared("VACUUM INTO ?1");
    if (!statement) return statement.error();
    Query query(*statement);
    query.bind(1, copy);
    if (query.step() != SQLITE_DONE) return failure(database_.get(), copy);
  }
  // A log that is left there is of the files that are gone.
  for (const char* suffix : {"-wal", "-shm"}) {
    std::filesystem::remove(path_.string() + suffix, fault);
    if (fault) return Error{fmt::format("{}{}: {}", path_.string(), suffix, fault.message())};
  }
  std::filesystem::rename(copy, path_, fault);
  if (fault) return Error{fmt::format("{}: {}", path_.string(), fault.message())};
  auto fresh = open(path_.parent_path());
  if (!fresh) return fresh.error();
  // SQLite sees that the former files have moved and leaves those of their names alone.
  *this = *std::move(fresh);
  return {};
}

Result<void> Store::execute(std::string_view sql) {
  const auto statement = prepared(sql);
  if (!statement) return statement.error();
  Query query(*statement);
  if (query.step() != SQLITE_DONE) return failure(database_.get(), sql);
  return {};
}

Result<std::int64_t> Store::row_of(const BlockId& block) {
  const auto found = block_rows_.find(block);
  if (found != block_rows_.end()) return found->second;
  const std::string ipv4 = prefix_text(block.ipv4);
  const std::string ipv6 = prefix_text(block.ipv6);
  const auto statement = prepared(
      "INSERT INTO block (pool, number, ipv4, ipv6) VALUES (?1, ?2, ?3, ?4) "
      "ON CONFLICT (pool, number, ipv4, ipv6) DO UPDATE SET pool = pool RETURNING id");
  if (!statement) return statement.error();
  Query query(*statement);
  query.bind(1, block.pool);
  query.bind(2, std::int64_t{block.index});
  query.bind(3, ipv4);
  query.bind(4, ipv6);
  if (query.step() != SQLITE_ROW) return failure(database_.get(), "block");
  const std::int64_t row = query.number(0);
  if (query.step() != SQLITE_DONE) return failure(database_.get(), "block");
  block_rows_[block] = row;
  return row;
}

Result<void> Store::write(const Held& held) {
  const Lease& lease = held.lease;
  const auto row = row_of(lease.block);
  if (!row) return row.error();
  const auto statement = prepared(hold_sql);
  if (!statement) return statement.error();
  Query query(*statement);
  query.bind(1, *row);
  query.bind(2, std::int64_t{lease.ordinal});
  query.bind(3, lease.attachment.network);
  query.bind(4, lease.attachment.container);
  query.bind(5, lease.attachment.ifname);
  query.bind(6, lease.netns);
  query.bind(7, static_cast<std::int64_t>(lease.netns_inode));
  query.bind(8, lease.boot_id);
  query.bind(9, nanoseconds(lease.allocated_at));
  query.bind(10, static_cast<std::int64_t>(lease.sequence));
  query.bind(11, lease.host_ifname);
  query.bind(12, std::int64_t{lease.delegated});
  query.bind(13, std::int64_t{lease.borrowed});
  if (query.step() != SQLITE_DONE) return failure(database_.get(), "hold");
  if (sqlite3_changes(database_.get()) != 1) {
    return Error{fmt::format("address {} of block {} is on record as held by another container",
                             lease.ordinal, lease.block.text())};
  }
  return {};
}

Result<void> Store::write(const Freed& freed) {
  const auto row = row_of(freed.block);
  if (!row) return row.error();
  const auto statement = prepared(free_sql);
  if (!statement) return statement.error();
  Query query(*statement);
  query.bind(1, *row);
  query.bind(2, std::int64_t{freed.ordinal});
  query.bind(3, static_cast<std::int64_t>(freed.sequence));
  query.bind(4, freed.boot_id);
  query.bind(5, nanoseconds(freed.freed_at));
  if (query.step() != SQLITE_DONE) return failure(database_.get(), "free");
  return {};
}

Result<void> Store::write(const Dropped& dropped) {
  const auto row = row_of(dropped.block);
  if (!row) return row.error();
  for (const std::string_view sql :
       {"DELETE FROM address WHERE block = ?1", "DELETE FROM lent WHERE block = ?1",
        "DELETE FROM block WHERE id = ?1"}) {
    const auto statement = prepared(sql);
    if (!statement) return statement.error();
    Query query(*statement);
    query.bind(1, *row);
    if (query.step() != SQLITE_DONE) return failure(database_.get(), sql);
  }
  block_rows_.erase(dropped.block);
  return {};
}

Result<void> Store::write(const Claimed& claimed) {
  const std::string ipv4 = prefix_text(claimed.block.ipv4);
  const std::string ipv6 = prefix_text(claimed.block.ipv6);
  const std::string state(name(claimed.state));
  const auto statement = prepared(
      "INSERT INTO claim (pool, number, ipv4, ipv6, state) VALUES (?1, ?2, ?3, ?4, ?5) "
      "ON CONFLICT (pool, number, ipv4, ipv6) DO UPDATE SET state = ?5");
  if (!statement) return statement.error();
  Query query(*statement);
  query.bind(1, claimed.block.pool);
  query.bind(2, std::int64_t{claimed.block.index});
  query.bind(3, ipv4);
  query.bind(4, ipv6);
  query.bind(5, state);
  if (query.step() != SQLITE_DONE) return failure(database_.get(), "claim");
  return {};
}

Result<void> Store::write(const Unclaimed& gone) {
  const std::string ipv4 = prefix_text(gone.block.ipv4);
  const std::string ipv6 = prefix_text(gone.block.ipv6);
  const auto statement =
      prepared("DELETE FROM claim WHERE pool = ?1 AND number = ?2 AND ipv4 = ?3 AND ipv6 = ?4");
  if (!statement) return statement.error();
  Query query(*statement);
  query.bind(1, gone.block.pool);
  query.bind(2, std::int64_t{gone.block.index});
  query.bind(3, ipv4);
  query.bind(4, ipv6);
  if (query.step() != SQLITE_DONE) return failure(database_.get(), "claim");
  return {};
}

Result<void> Store::write(const Lent& lent) {
  const auto row = row_of(lent.block);
  if (!row) return row.error();
  const auto statement = prepared(
      "INSERT INTO lent (block, ordinal, host) VALUES (?1, ?2, ?3) "
      "ON CONFLICT (block, ordinal) DO UPDATE SET host = ?3");
  if (!statement) return statement.error();
  Query query(*statement);
  query.bind(1, *row);
  query.bind(2, std::int64_t{lent.ordinal});
  query.bind(3, lent.host);
  if (query.step() != SQLITE_DONE) return failure(database_.get(), "lend");
  return {};
}

Result<void> Store::write(const Returned& returned) {
  const auto row = row_of(returned.block);
  if (!row) return row.error();
  {
    const auto statement = prepared("DELETE FROM lent WHERE block = ?1 AND ordinal = ?2");
    if (!statement) return statement.error();
    Query query(*statement);
    query.bind(1, *row);
    query.bind(2, std::int64_t{returned.ordinal});
    if (query.step() != SQLITE_DONE) return failure(database_.get(), "take back");
  }
  // It may never have been given here; that it rests is to be known all the same.
  const auto statement = prepared(
      "INSERT INTO address (block, ordinal, state, network, container, ifname, host_ifname, netns, "
      "netns_inode, boot_id, at, sequence) "
      "VALUES (?1, ?2, 'free', '', '', '', '', '', 0, ?3, ?4, 0) "
      "ON CONFLICT (block, ordinal) DO UPDATE SET boot_id = ?3, at = ?4 WHERE state = 'free'");
  if (!statement) return statement.error();
  Query query(*statement);
  query.bind(1, *row);
  query.bind(2, std::int64_t{returned.ordinal});
  query.bind(3, returned.boot_id);
  query.bind(4, nanoseconds(returned.freed_at));
  if (query.step() != SQLITE_DONE) return failure(database_.get(), "take back");
  return {};
}

}  // namespace weft::ipam
