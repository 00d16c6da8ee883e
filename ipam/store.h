// Store: the allocator's changes in SQLite, committed before anyone is told (write-ahead log). A
// killed process loses nothing; a power cut may lose the last allocations, and with them went the
// containers. A database that cannot be read is moved aside and a new one begun, to be filled from
// the kernel by Allocator::rebuild(). I/O; one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "ipam/lease.h"
#include "net/result.h"
#include "net/time.h"

struct sqlite3;
struct sqlite3_stmt;

namespace weft::ipam {

class Store {
 public:
  /// Opens `directory`/weft.db, making it when there is none. Errors: no such directory, no
  /// permission, in use by another weftd, written by a newer weft.
  static Result<Store> open(const std::filesystem::path& directory);

  /// A sentence when the database could not be read and was moved aside, naming the file it is in
  /// now; else empty.
  [[nodiscard]] const std::string& moved_aside() const { return moved_aside_; }
  /// Above every sequence number this host used, also those of a lost database.
  [[nodiscard]] std::uint64_t next_sequence() const { return next_sequence_; }

  /// Everything committed, as changes to apply to a new allocator. Times of an earlier boot mean
  /// nothing on today's clock: what was freed then counts as freed `now`, in the same order.
  /// Made with the database; tells this host from its former self.
  [[nodiscard]] const std::string& incarnation() const { return incarnation_; }

  Result<Changes> load(const std::string& boot_id, Time now);

  /// All of them or none, in one transaction; tens of microseconds.
  Result<void> commit(const Changes& changes);

  /// A sentence when somebody has deleted or replaced the files beneath the open database: what is
  /// committed from then on is gone with this process.
  [[nodiscard]] std::string loss() const;
  /// The whole database once more where it belongs, as it is in the files that are still open. On
  /// an error it is as before.
  Result<void> write_anew();

 private:
  struct CloseDatabase {
    void operator()(sqlite3* database) const;
  };
  struct FinalizeStatement {
    void operator()(sqlite3_stmt* statement) const;
  };
  using Database = std::unique_ptr<sqlite3, CloseDatabase>;
  using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

  enum class Readable : bool { no, yes };

  Store() = default;

  /// No: what is there is no database, or a damaged one.
  Result<Readable> open_database(const std::filesystem::path& path);
  Result<Readable> check_schema();
  Result<void> move_aside(const std::filesystem::path& path);

  /// Prepared once, then kept; `sql` is a literal.
  Result<sqlite3_stmt*> prepared(std::string_view sql);
  Result<void> execute(std::string_view sql);
  Result<void> restart_cool_downs(const std::string& boot_id, Time now);
  Result<void> write(const Held& held);
  Result<void> write(const Freed& freed);
  Result<void> write(const Dropped& dropped);
  Result<void> write(const Claimed& claimed);
  Result<void> write(const Unclaimed& gone);
  Result<void> write(const Lent& lent);
  Result<void> write(const Returned& returned);
  Result<void> load_claims(Changes& changes);
  Result<void> load_lent(const std::map<std::int64_t, BlockId>& blocks, Changes& changes);
  Result<void> load_incarnation();
  Result<std::int64_t> row_of(const BlockId& block);

  std::filesystem::path path_;
  Database database_;
  std::map<std::string, Statement, std::less<>> statements_;
  std::map<BlockId, std::int64_t> block_rows_;
  std::string moved_aside_;
  std::string incarnation_;
  std::uint64_t next_sequence_ = 1;
};

}  // namespace weft::ipam
