#include "ctl/mrt.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <variant>

#include "ctl/base64.h"
#include "ctl/client.h"
#include "ctl/protocol.h"

namespace weft::ctl {
namespace {

/// Calls weftd until the dump is done, each answer's records to `file`.
Result<MrtSummary> copy(Client& client, std::FILE* file, Clock::duration patience) {
  MrtRequest request;
  for (;;) {
    const auto reply = client.call(request, Clock::now() + patience);
    if (!reply) return Error{reply.error().message};
    if (const auto* failure = std::get_if<Failure>(&*reply))
      return Error{"weftd: " + failure->message};
    const auto& part = std::get<MrtRecords>(*reply);
    const auto octets = from_base64(part.records);
    if (!octets) return octets.error().within("the reply of weftd");
    if (std::fwrite(octets->data(), 1, octets->size(), file) != octets->size())
      return Error{std::strerror(errno)};
    if (part.done) return MrtSummary{part.routes, part.paths};
    request.dump = part.dump;
  }
}

}  // namespace

Result<MrtSummary> dump_mrt(const std::string& socket, const std::string& file,
                            Clock::duration patience) {
  auto client = Client::connect(socket, Clock::now() + patience);
  if (!client) return Error{client.error().message};
  const std::string partial = file + ".partial";
  const auto close = [](std::FILE* open) { std::fclose(open); };
  std::unique_ptr<std::FILE, decltype(close)> out(std::fopen(partial.c_str(), "wbe"), close);
  if (!out) return Error{fmt::format("{}: {}", partial, std::strerror(errno))};
  auto summary = copy(*client, out.get(), patience);
  const bool flushed = std::fclose(out.release()) == 0;
  if (summary && flushed && std::rename(partial.c_str(), file.c_str()) == 0) return summary;
  const Error why = summary ? Error{std::strerror(errno)}.within(file) : summary.error();
  std::remove(partial.c_str());
  return why;
}

}  // namespace weft::ctl
