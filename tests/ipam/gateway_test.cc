// The JSON of etcd's gateway, as etcd 3.4.23 of Debian wrote it.
#include "ipam/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::ipam {
namespace {

using testing::HasSubstr;

TEST(Gateway, Base64BothWays) {
  const std::pair<const char*, const char*> rows[] = {
      {"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
      {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe", "//4="}};
  for (const auto& [plain, coded] : rows) {
    EXPECT_EQ(gateway::base64(plain), coded);
    EXPECT_EQ(gateway::from_base64(coded), plain);
  }
  EXPECT_FALSE(gateway::from_base64("Zm9v!"));
}

TEST(Gateway, EndOfAPrefix) {
  EXPECT_EQ(kv::end_of("/weft/"), "/weft0");
  EXPECT_EQ(kv::end_of("a\xff\xff"), "b");
}

TEST(Gateway, TransactionThere) {
  const std::string text = gateway::encode(kv::Txn{{{"k", 0}},
                                                   {kv::Put{"k", "v", 5}, kv::Delete{"x"}},
                                                   {kv::Range{"k", {}}, kv::Range{"a", "b"}}});
  EXPECT_EQ(
      text,
      R"({"compare":[{"key":"aw==","mod_revision":"0","result":"EQUAL","target":"MOD"}],)"
      R"("failure":[{"request_range":{"key":"aw=="}},{"request_range":{"key":"YQ==","range_end":"Yg=="}}],)"
      R"("success":[{"request_put":{"key":"aw==","lease":"5","value":"dg=="}},)"
      R"({"request_delete_range":{"key":"eA=="}}]})");
}

TEST(Gateway, TransactionBack) {
  const auto answer = gateway::decode(
      kv::Txn{},
      R"({"header":{"cluster_id":"1","revision":"7","raft_term":"2"},"succeeded":true,)"
      R"("responses":[{"response_range":{"header":{"revision":"7"},"kvs":[{"key":"aw==",)"
      R"("create_revision":"3","mod_revision":"5","version":"2","value":"dg==","lease":"9"}],)"
      R"("count":"1"}}]})");
  ASSERT_TRUE(answer);
  EXPECT_EQ(std::get<kv::TxnAnswer>(*answer), (kv::TxnAnswer{7, true, {{"k", "v", 3, 5, 9}}}));
  const auto lost = gateway::decode(kv::Txn{}, R"({"header":{"revision":"8"},"responses":[]})");
  EXPECT_FALSE(std::get<kv::TxnAnswer>(*lost).succeeded) << "false is left out";
}

TEST(Gateway, Leases) {
  const auto granted =
      gateway::decode(kv::Grant{}, R"({"header":{"revision":"2"},"ID":"7587","TTL":"60"})");
  EXPECT_EQ(std::get<kv::LeaseAnswer>(*granted),
            (kv::LeaseAnswer{2, 7587, std::chrono::seconds(60)}));
  const auto gone =
      gateway::decode(kv::KeepAlive{}, R"({"result":{"header":{"revision":"2"},"ID":"7587"}})");
  EXPECT_EQ(std::get<kv::LeaseAnswer>(*gone).ttl.count(), 0);
}

TEST(Gateway, WhatIsNoAnswerIsAnError) {
  for (const char* body :
       {"", "[]", "{", "{}", R"({"header":5})", R"({"header":{"revision":"x"}})"}) {
    EXPECT_FALSE(gateway::decode(kv::Txn{}, body)) << body;
    EXPECT_FALSE(gateway::decode(kv::KeepAlive{}, body)) << body;
    EXPECT_FALSE(gateway::decode_watched(body)) << body;
    EXPECT_FALSE(gateway::decode_authenticate(body)) << body;
  }
}

TEST(Gateway, Refusals) {
  const auto token =
      gateway::decode_refusal(401, R"({"error":"etcdserver: invalid auth token","code":16})");
  EXPECT_TRUE(token.token_refused);
  const auto lease = gateway::decode_refusal(
      404,
      R"({"error":"etcdserver: requested lease not found","message":"etcdserver: requested lease not found","code":5})");
  EXPECT_TRUE(lease.lease_gone);
  EXPECT_FALSE(lease.token_refused);
  EXPECT_EQ(gateway::decode_refusal(503, "oops").message, "HTTP status 503");
}

TEST(Gateway, Watched) {
  const auto created =
      gateway::decode_watched(R"({"result":{"header":{"revision":"4"},"created":true}})");
  EXPECT_EQ(*created, (kv::Watched{4, {}, false}));
  const auto events = gateway::decode_watched(
      R"({"result":{"header":{"revision":"6"},"events":[{"kv":{"key":"aw==","create_revision":"5",)"
      R"("mod_revision":"5","version":"1","value":"dg=="}},{"type":"DELETE","kv":{"key":"aw==","mod_revision":"6"}}]}})");
  ASSERT_EQ(events->events.size(), 2U);
  EXPECT_FALSE(events->events[0].deleted);
  EXPECT_TRUE(events->events[1].deleted);
  EXPECT_EQ(events->events[1].now.mod_revision, 6);
  EXPECT_TRUE(
      gateway::decode_watched(
          R"({"result":{"header":{"revision":"9"},"canceled":true,"compact_revision":"8"}})")
          ->compacted);
  EXPECT_THAT(gateway::decode_watched(
                  R"({"result":{"header":{},"canceled":true,"cancel_reason":"permission denied"}})")
                  .error()
                  .message,
              HasSubstr("permission denied"));
}

}  // namespace
}  // namespace weft::ipam
