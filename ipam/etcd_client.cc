// What weftd loads when a pool is claimed in etcd: nobody else has TLS and HTTP in memory.
#include "ipam/etcd.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <fstream>
#include <optional>
#include <utility>

#include "ipam/gateway.h"
#include "net/time.h"

namespace weft::ipam {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using Code = boost::system::error_code;
constexpr auto no_throw = asio::as_tuple(asio::use_awaitable);

struct Endpoint {
  std::string host;
  std::string port;
  bool tls = false;
  std::string url;
};

/// "https://10.0.0.5:2379", "http://[fd00::5]:2379"; without a port 2379.
Result<Endpoint> endpoint_of(const std::string& url) {
  Endpoint endpoint;
  endpoint.url = url;
  std::string rest;
  if (url.starts_with("https://")) {
    endpoint.tls = true;
    rest = url.substr(8);
  } else if (url.starts_with("http://")) {
    rest = url.substr(7);
  } else {
    return Error{fmt::format("{} begins with neither http:// nor https://", url)};
  }
  if (!rest.empty() && rest.back() == '/') rest.pop_back();
  endpoint.port = "2379";
  if (rest.starts_with('[')) {
    const std::size_t close = rest.find(']');
    if (close == std::string::npos) return Error{fmt::format("{} has no ']'", url)};
    endpoint.host = rest.substr(1, close - 1);
    rest = rest.substr(close + 1);
    if (rest.starts_with(':')) endpoint.port = rest.substr(1);
  } else {
    const std::size_t colon = rest.rfind(':');
    endpoint.host = rest.substr(0, colon);
    if (colon != std::string::npos) endpoint.port = rest.substr(colon + 1);
  }
  if (endpoint.host.empty() || endpoint.port.empty() ||
      endpoint.port.find_first_not_of("0123456789") != std::string::npos) {
    return Error{fmt::format("{} is not http(s)://HOST:PORT", url)};
  }
  return endpoint;
}

Result<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return Error{fmt::format("{} cannot be read", path)};
  return line;
}

/// With TLS or without. Beast's stream ends every wait at its deadline.
class Connection {
 public:
  Connection(const asio::any_io_executor& executor, asio::ssl::context* tls)
      : plain_(tls == nullptr ? std::make_unique<beast::tcp_stream>(executor) : nullptr),
        secure_(tls == nullptr
                    ? nullptr
                    : std::make_unique<beast::ssl_stream<beast::tcp_stream>>(executor, *tls)) {}

  beast::tcp_stream& tcp() { return secure_ ? beast::get_lowest_layer(*secure_) : *plain_; }
  beast::ssl_stream<beast::tcp_stream>* secure() { return secure_.get(); }
  beast::tcp_stream& plain() { return *plain_; }

 private:
  std::unique_ptr<beast::tcp_stream> plain_;
  std::unique_ptr<beast::ssl_stream<beast::tcp_stream>> secure_;
};

/// A member that vanished without a word is noticed although nothing is said.
void keep_alive(tcp::socket& socket) {
  const int fd = socket.native_handle();
  const auto set = [fd](int level, int option, int value) {
    static_cast<void>(::setsockopt(fd, level, option, &value, sizeof(value)));
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 5);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 2);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 10'000);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
}

struct Reply {
  int status = 0;
  std::string body;
};

template <typename Stream>
asio::awaitable<Result<Reply>> exchange_over(Stream& stream,
                                             http::request<http::string_body>& request) {
  const auto [write_error, written] = co_await http::async_write(stream, request, no_throw);
  if (write_error) co_return Error{write_error.message()};
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(etcd_answer_limit);
  const auto [read_error, read] = co_await http::async_read(stream, buffer, parser, no_throw);
  if (read_error) co_return Error{read_error.message()};
  co_return Reply{static_cast<int>(parser.get().result_int()), std::move(parser.get().body())};
}

class Loop : public std::enable_shared_from_this<Loop> {
 public:
  Loop(asio::io_context& io, const EtcdClaim& settings, std::vector<Endpoint> endpoints)
      : io_(io),
        settings_(settings),
        endpoints_(std::move(endpoints)),
        tls_(asio::ssl::context::tls_client) {}

  Result<void> prepare() {
    Code error;
    tls_.set_verify_mode(asio::ssl::verify_peer, error);
    if (settings_.ca_file.empty()) {
      tls_.set_default_verify_paths(error);
    } else {
      tls_.load_verify_file(settings_.ca_file, error);
      if (error) return Error{error.message()}.within(settings_.ca_file);
    }
    if (!settings_.cert_file.empty()) {
      tls_.use_certificate_chain_file(settings_.cert_file, error);
      if (error) return Error{error.message()}.within(settings_.cert_file);
      tls_.use_private_key_file(settings_.key_file, asio::ssl::context::pem, error);
      if (error) return Error{error.message()}.within(settings_.key_file);
    }
    return {};
  }

  void send(const kv::Request& request, std::function<void(kv::Answer)> answered) {
    asio::co_spawn(io_, serve(shared_from_this(), request, std::move(answered)), asio::detached);
  }

  void watch(std::string prefix, std::int64_t revision, std::function<void(kv::Watched)> changed,
             std::function<void(std::string)> ended) {
    stop_watch();
    asio::co_spawn(io_,
                   follow(shared_from_this(), ++watch_number_, std::move(prefix), revision,
                          std::move(changed), std::move(ended)),
                   asio::detached);
  }

  void stop_watch() {
    ++watch_number_;
    if (watching_) watching_->tcp().cancel();
    watching_.reset();
  }

  void stop() {
    stopped_ = true;
    stop_watch();
    if (connection_) connection_->tcp().cancel();
    connection_.reset();
  }

  EtcdStatistics statistics;

 private:
  using Self = std::shared_ptr<Loop>;

  [[nodiscard]] const Endpoint& endpoint() const { return endpoints_[current_]; }

  void next_endpoint() {
    connection_.reset();
    current_ = (current_ + 1) % endpoints_.size();
    // What a member in a minority tells is old: the watch goes where the requests go.
    if (watching_ && endpoints_.size() > 1) watching_->tcp().cancel();
  }

  /// Connected, handshaken; the deadline of `etcd_patience` is running.
  static asio::awaitable<Result<std::shared_ptr<Connection>>> connect(Self self) {
    const Endpoint to = self->endpoint();
    auto connection =
        std::make_shared<Connection>(self->io_.get_executor(), to.tls ? &self->tls_ : nullptr);
    tcp::resolver resolver(self->io_);
    const auto [unknown, addresses] = co_await resolver.async_resolve(to.host, to.port, no_throw);
    if (unknown) co_return Error{unknown.message()}.within(to.url);
    connection->tcp().expires_after(etcd_patience);
    const auto [refused, peer] = co_await connection->tcp().async_connect(addresses, no_throw);
    if (refused) co_return Error{refused.message()}.within(to.url);
    keep_alive(connection->tcp().socket());
    if (auto* secure = connection->secure()) {
      Code ignored;
      static_cast<void>(asio::ip::make_address(to.host, ignored));
      // SSL_set_tlsext_host_name() is a macro with a cast of C.
      std::string name = to.host;
      if (ignored) {
        SSL_ctrl(secure->native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 name.data());
      }
      secure->set_verify_callback(asio::ssl::host_name_verification(to.host));
      const auto [untrusted] =
          co_await secure->async_handshake(asio::ssl::stream_base::client, no_throw);
      if (untrusted) co_return Error{untrusted.message()}.within(to.url);
    }
    co_return connection;
  }

  http::request<http::string_body> post(std::string_view path, std::string body) const {
    http::request<http::string_body> request{http::verb::post,
                                             beast::string_view(path.data(), path.size()), 11};
    request.set(http::field::host, endpoint().host + ":" + endpoint().port);
    request.set(http::field::content_type, "application/json");
    if (!token_.empty()) request.set(http::field::authorization, token_);
    request.body() = std::move(body);
    request.prepare_payload();
    return request;
  }

  static asio::awaitable<Result<Reply>> exchange(Self self, std::string_view path,
                                                 std::string body) {
    // A connection that was idle may be closed by now: that is no fault of the member's.
    for (int attempt = 0;; ++attempt) {
      const bool fresh = self->connection_ == nullptr;
      if (fresh) {
        auto connected = co_await connect(self);
        if (!connected) co_return connected.error();
        self->connection_ = *connected;
      }
      const std::shared_ptr<Connection> connection = self->connection_;
      auto request = self->post(path, body);
      connection->tcp().expires_after(etcd_patience);
      Result<Reply> reply = Error{""};
      if (auto* secure = connection->secure()) {
        reply = co_await exchange_over(*secure, request);
      } else {
        reply = co_await exchange_over(connection->plain(), request);
      }
      if (reply) {
        connection->tcp().expires_never();
        co_return reply;
      }
      if (self->connection_ == connection) self->connection_.reset();
      if (fresh || attempt != 0 || self->stopped_)
        co_return reply.error().within(self->endpoint().url);
    }
  }

  static asio::awaitable<Result<void>> authenticate(Self self) {
    self->token_.clear();
    const auto password = first_line(self->settings_.password_file);
    if (!password) co_return password.error();
    const auto reply =
        co_await exchange(self, gateway::authenticate_path,
                          gateway::encode_authenticate(self->settings_.user, *password));
    auto& counted = self->statistics.operations["authenticate"];
    if (!reply || reply->status != 200) {
      ++counted.failed;
      if (!reply) co_return reply.error();
      co_return Error{gateway::decode_refusal(reply->status, reply->body).message}.within(
          self->endpoint().url);
    }
    const auto token = gateway::decode_authenticate(reply->body);
    if (!token) co_return token.error();
    ++counted.ok;
    self->token_ = *token;
    co_return Result<void>();
  }

  /// At one endpoint, with a new token when the old one is refused.
  static asio::awaitable<Result<kv::Answer>> try_once(Self self, const kv::Request& request) {
    for (int attempt = 0;; ++attempt) {
      if (!self->settings_.user.empty() && self->token_.empty()) {
        const auto known = co_await authenticate(self);
        if (!known) co_return known.error();
      }
      const auto reply = co_await exchange(self, gateway::path(request), gateway::encode(request));
      if (!reply) co_return reply.error();
      if (reply->status == 200) co_return gateway::decode(request, reply->body);
      const gateway::Refusal refusal = gateway::decode_refusal(reply->status, reply->body);
      if (refusal.lease_gone) co_return kv::Answer(kv::Fault{refusal.message, true});
      if (!refusal.token_refused || attempt != 0 || self->settings_.user.empty())
        co_return Error{refusal.message}.within(self->endpoint().url);
      self->token_.clear();
    }
  }

  static asio::awaitable<void> serve(Self self, kv::Request request,
                                     std::function<void(kv::Answer)> answered) {
    // Never from inside of send().
    co_await asio::post(self->io_, asio::use_awaitable);
    auto& counted = self->statistics.operations[std::string(gateway::name(request))];
    std::string failure;
    for (std::size_t attempt = 0; attempt < self->endpoints_.size(); ++attempt) {
      const Time began = Clock::now();
      auto answer = co_await try_once(self, request);
      if (self->stopped_) co_return;
      if (answer) {
        ++counted.ok;
        constexpr std::size_t times_limit = 1024;
        if (self->statistics.times.size() < times_limit)
          self->statistics.times.push_back(Clock::now() - began);
        self->statistics.endpoint = self->endpoint().url;
        answered(*std::move(answer));
        co_return;
      }
      ++counted.failed;
      failure = answer.error().message;
      self->next_endpoint();
    }
    if (!self->stopped_) answered(kv::Fault{failure, false});
  }

  static asio::awaitable<void> follow(Self self, std::uint64_t number, std::string prefix,
                                      std::int64_t revision,
                                      std::function<void(kv::Watched)> changed,
                                      std::function<void(std::string)> ended) {
    auto& counted = self->statistics.operations["watch"];
    auto connected = co_await connect(self);
    if (number != self->watch_number_) co_return;
    if (!connected) {
      ++counted.failed;
      ended(connected.error().message);
      co_return;
    }
    const std::shared_ptr<Connection> connection = *connected;
    self->watching_ = connection;
    auto request = self->post(gateway::watch_path, gateway::encode_watch(prefix, revision));
    Result<void> done = Error{""};
    if (auto* secure = connection->secure()) {
      done = co_await stream(self, number, *connection, *secure, request, changed);
    } else {
      done = co_await stream(self, number, *connection, connection->plain(), request, changed);
    }
    if (number != self->watch_number_) co_return;
    self->watching_.reset();
    if (done) {
      ++counted.ok;
      ended("the watch ended");
    } else {
      ++counted.failed;
      ended(done.error().message);
    }
  }

  template <typename Stream>
  static asio::awaitable<Result<void>> stream(Self self, std::uint64_t number,
                                              Connection& connection, Stream& stream,
                                              http::request<http::string_body>& request,
                                              const std::function<void(kv::Watched)>& changed) {
    const auto [unsent, written] = co_await http::async_write(stream, request, no_throw);
    if (unsent) co_return Error{unsent.message()};
    beast::flat_buffer buffer;
    http::response_parser<http::buffer_body> parser;
    parser.body_limit(boost::none);
    const auto [silent, header] =
        co_await http::async_read_header(stream, buffer, parser, no_throw);
    if (silent) co_return Error{silent.message()};
    if (parser.get().result_int() != 200) {
      self->token_.clear();
      co_return Error{fmt::format("watch refused with HTTP status {}", parser.get().result_int())};
    }
    connection.tcp().expires_never();
    std::string line;
    std::array<char, 16 * 1024> chunk{};
    while (number == self->watch_number_ && !parser.is_done()) {
      parser.get().body().data = chunk.data();
      parser.get().body().size = chunk.size();
      const auto [error, size] = co_await http::async_read_some(stream, buffer, parser, no_throw);
      if (error && error != http::error::need_buffer) co_return Error{error.message()};
      line.append(chunk.data(), chunk.size() - parser.get().body().size);
      for (std::size_t end = 0; (end = line.find('\n')) != std::string::npos;) {
        const auto watched = gateway::decode_watched(std::string_view(line).substr(0, end));
        line.erase(0, end + 1);
        if (number != self->watch_number_) co_return Result<void>();
        if (!watched) {
          // A token that went while the watch was asked for: the next request gets a new one.
          self->token_.clear();
          co_return watched.error();
        }
        changed(*watched);
      }
      if (line.size() > etcd_line_limit) co_return Error{"a line of the watch is too long"};
    }
    co_return Result<void>();
  }

  asio::io_context& io_;
  EtcdClaim settings_;
  std::vector<Endpoint> endpoints_;
  asio::ssl::context tls_;
  std::size_t current_ = 0;
  std::string token_;
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<Connection> watching_;
  std::uint64_t watch_number_ = 0;
  bool stopped_ = false;
};

class Client final : public Etcd {
 public:
  explicit Client(std::shared_ptr<Loop> loop) : loop_(std::move(loop)) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() override { loop_->stop(); }

  void send(const kv::Request& request, std::function<void(kv::Answer)> answered) override {
    loop_->send(request, std::move(answered));
  }
  void watch(std::string prefix, std::int64_t revision, std::function<void(kv::Watched)> changed,
             std::function<void(std::string)> ended) override {
    loop_->watch(std::move(prefix), revision, std::move(changed), std::move(ended));
  }
  void stop_watch() override { loop_->stop_watch(); }
  EtcdStatistics& statistics() override { return loop_->statistics; }

 private:
  std::shared_ptr<Loop> loop_;
};

Result<std::unique_ptr<Etcd>> make(asio::io_context& io, const EtcdClaim& settings) {
  std::vector<Endpoint> endpoints;
  for (const std::string& url : settings.endpoints) {
    auto endpoint = endpoint_of(url);
    if (!endpoint) return endpoint.error();
    endpoints.push_back(*std::move(endpoint));
  }
  if (endpoints.empty()) return Error{"etcd has no endpoints"};
  auto loop = std::make_shared<Loop>(io, settings, std::move(endpoints));
  if (auto prepared = loop->prepare(); !prepared) return prepared.error();
  return std::unique_ptr<Etcd>(std::make_unique<Client>(std::move(loop)));
}

}  // namespace

// Read by Etcd::create, which says what they are.
extern "C" const EtcdModule weft_etcd{WEFT_VERSION, &make};

}  // namespace weft::ipam
