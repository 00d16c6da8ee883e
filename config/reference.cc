#include "config/reference.h"

#include <fmt/format.h>

#include <algorithm>

#include <string>
#include <string_view>

#include "config/keys.h"

namespace weft::config {
namespace {

/// Text for mdoc: one sentence a line, no line that roff would take for a request.
std::string roff(std::string_view text) {
  std::string lines;
  std::size_t column = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t word_end = std::min(text.find(' ', i), text.size());
    const std::string_view word = text.substr(i, word_end - i);
    const bool sentence_ended = !lines.empty() && lines.back() == '.';
    if (column != 0) {
      const bool wrap = sentence_ended || column + 1 + word.size() > 78;
      lines += wrap ? '\n' : ' ';
      column = wrap ? 0 : column + 1;
    }
    if (column == 0 && (word.front() == '.' || word.front() == '\'')) lines += "\\&";
    for (const char c : word) lines += c == '\\' ? std::string("\\e") : std::string(1, c);
    column += word.size();
    i = word_end;
  }
  return lines + '\n';
}

template <typename Settings>
std::string default_of(const Key<Settings>& key) {
  if (key.duty == Duty::required) return "Required.";
  if (!key.absent.empty()) return fmt::format("Default: {}.", key.absent);
  if (!key.write) return "Default: none.";
  return fmt::format("Default: {}.", key.write(Settings{}).value_or("none"));
}

template <typename Settings>
std::string section(std::string_view title) {
  std::string text = fmt::format(".Ss {}\n.Bl -tag -width Ds\n", title);
  for (const auto& key : keys<Settings>()) {
    text += fmt::format(".It Cm {}\n", key.name);
    text += roff(key.text) + ".br\n" + roff(fmt::format("Value: {}.", key.type)) + ".br\n" +
            roff(default_of(key));
  }
  return text + ".El\n";
}

}  // namespace

std::string reference() {
  return section<Config>("The document") + section<NodeSettings>("node") +
         section<ipam::PoolSettings>("pools.<name>") +
         section<ipam::EtcdClaim>("pools.<name>.claim.etcd") + section<ipam::Settings>("ipam") +
         section<bgp::Settings>("bgp") +
         section<bgp::RuleSettings>("bgp.policies.<name>, a list of rules") +
         section<bgp::RuleMatch>("match of a rule") + section<bgp::RuleSet>("set of a rule") +
         section<bgp::PeerSettings>("bgp.peers and bgp.groups.<name>") +
         section<bgp::AggregateSettings>("bgp.aggregates, a list of aggregates") +
         section<bgp::AnnouncementSettings>("bgp.announcements, a list of announcements") +
         section<bgp::BmpSettings>("bgp.bmp") +
         section<bgp::BmpStation>("bgp.bmp.stations, a list of stations") +
         section<fib::Settings>("fib") + section<exporter::Settings>("exporter") +
         section<CniSettings>("cni");
}

}  // namespace weft::config
