#include "ipam/import.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace weft::ipam {

namespace {

/// Of one attachment; on success the trial holds them.
Verdict judge(Allocator& trial, const Attachment& attachment, std::vector<Address> addresses,
              Changes& changes, Time now) {
  if (const Lease* held = trial.find(attachment)) {
    for (const Address& address : addresses) {
      if (address == held->ipv4() || address == held->ipv6()) continue;
      return {Verdict::Kind::refused,
              fmt::format("the container holds {} already",
                          (held->ipv4() ? *held->ipv4() : *held->ipv6()).text())};
    }
    return {Verdict::Kind::known, {}};
  }
  if (addresses.size() > 2 ||
      (addresses.size() == 2 && addresses[0].family() == addresses[1].family())) {
    return {Verdict::Kind::refused, "the interface has several addresses of one family"};
  }
  AllocateRequest wanted{attachment, "", 0, "", std::move(addresses)};
  wanted.delegated = true;
  wanted.in_use = true;
  const auto grant = trial.allocate(wanted, now);
  if (!grant) return {Verdict::Kind::refused, grant.error().message};
  trial.apply(grant->changes);
  changes.insert(changes.end(), grant->changes.begin(), grant->changes.end());
  return {Verdict::Kind::fits, {}};
}

}  // namespace

std::string_view name(Verdict::Kind kind) {
  switch (kind) {
    case Verdict::Kind::fits:
      return "fits";
    case Verdict::Kind::known:
      return "known";
    case Verdict::Kind::refused:
      return "refused";
  }
  return "";
}

bool Import::refuses() const {
  return std::any_of(verdicts.begin(), verdicts.end(),
                     [](const Verdict& verdict) { return verdict.kind == Verdict::Kind::refused; });
}

Import plan_import(const Allocator& allocator, const std::vector<AddressInUse>& addresses,
                   Time now) {
  Allocator trial = allocator;
  std::map<Attachment, std::vector<std::size_t>> by_attachment;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    by_attachment[addresses[i].attachment].push_back(i);
  }
  Import plan;
  plan.verdicts.resize(addresses.size());
  for (const auto& [attachment, indexes] : by_attachment) {
    std::vector<Address> own;
    for (const std::size_t i : indexes) own.push_back(addresses[i].address);
    const Verdict verdict = judge(trial, attachment, std::move(own), plan.changes, now);
    for (const std::size_t i : indexes) plan.verdicts[i] = verdict;
  }
  return plan;
}

}  // namespace weft::ipam
