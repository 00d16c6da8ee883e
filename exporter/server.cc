#include "exporter/server.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <sys/socket.h>

#include <cassert>
#include <exception>
#include <string>
#include <thread>
#include <utility>

#include "exporter/metrics.h"
#include "net/fd.h"

namespace weft::exporter {
namespace {

/// Scrapes served at one time.
constexpr std::size_t threads = 2;
constexpr int knock_interval_ms = 5;

class Collector : public prometheus::Collectable {
 public:
  explicit Collector(Server::Collect collect) : collect_(std::move(collect)) {}

  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override {
    try {
      return metrics(collect_());
    } catch (const std::exception&) {
      // Nothing may be thrown through the C of civetweb; a page without weft_ready says enough.
      return {};
    }
  }

 private:
  Server::Collect collect_;
};

std::string text(const Listen& listen) {
  return listen.address.is_v6() ? fmt::format("[{}]:{}", listen.address.text(), listen.port)
                                : fmt::format("{}:{}", listen.address.text(), listen.port);
}

/// Connects, and nothing else.
void knock(const Address& address, std::uint16_t port) {
  const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(address.v4());
  // Whether it is answered is none of our business.
  static_cast<void>(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to));
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const Settings& settings, Collect collect) {
  if (!settings.listen) return std::unique_ptr<Server>();
  const std::string address = text(*settings.listen);
  if (settings.listen->address.is_v6()) {
    return Error{
        fmt::format("the exporter cannot listen on {} (exporter.listen): the HTTP server "
                    "of this system knows IPv4 only",
                    address)};
  }
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(address, threads);
    auto collector = std::make_shared<Collector>(std::move(collect));
    exposer->RegisterCollectable(collector);
    return std::unique_ptr<Server>(
        new Server(settings.listen->address, std::move(collector), std::move(exposer)));
  } catch (const std::exception& error) {
    // Civetweb keeps the reason to itself.
    return Error{
        fmt::format("the exporter cannot listen on {} (exporter.listen): is the port in "
                    "use, or the address not of this host? {}",
                    address, error.what())};
  }
}

Server::Server(Address address, std::shared_ptr<prometheus::Collectable> collectable,
               std::unique_ptr<prometheus::Exposer> exposer)
    : address_(address), collectable_(std::move(collectable)), exposer_(std::move(exposer)) {}

Server::~Server() {
  // Civetweb looks at its stop flag when a connection comes, or after two seconds: weftd has no two
  // seconds to spare when it is restarted, so connections come.
  const std::jthread knocking([address = address_, port = port()](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      knock(address, port);
      ::poll(nullptr, 0, knock_interval_ms);
    }
  });
  exposer_.reset();
}

std::uint16_t Server::port() const {
  const auto ports = exposer_->GetListeningPorts();
  assert(ports.size() == 1);
  return static_cast<std::uint16_t>(ports.front());
}

}  // namespace weft::exporter
