#include "tests/lab/image.h"

#include <gmock/gmock.h>

namespace weft::lab {
namespace {

TEST(Image, IsKnownByItsName) {
  const std::vector<std::pair<const char*, const char*>> table{
      {"quay.io/frrouting/frr:8.4.1", "frr"},
      {"frrouting/frr-debian:latest", "frr"},
      {"FRR", "frr"},
      {"pierky/bird:2.0.12", "bird"},
      {"bird2", "bird"},
      {"weft-lab/bird:2.0.12", "bird"},
      {"osrg/gobgp", "gobgp"},
      {"weft-lab/weft:latest", "weft"},
      {"localhost:5000/weft", "weft"},
      {"frrouting/router:8", "frr"},
      {"alpine:latest", "linux"},
      {"wbitt/network-multitool", "linux"},
      {"blackbird/alpine", "linux"},
      {"x/frr@sha256:00ff", "frr"}};
  for (const auto& [image, software] : table) EXPECT_EQ(software_of(image), software) << image;
}

TEST(Image, MainIsReplacedByEntrypointAndCmd) {
  const Image image{"bird", {"bird", "-f"}, {}, {}, {}};
  NodeSpec node;
  EXPECT_EQ(main_of(node, image), (std::vector<std::string>{"bird", "-f"}));
  node.cmd = {"sleep", "1"};
  EXPECT_EQ(main_of(node, image), (std::vector<std::string>{"sleep", "1"}));
  node.entrypoint = {"nice"};
  EXPECT_EQ(main_of(node, image), (std::vector<std::string>{"nice", "sleep", "1"}));
}

TEST(Image, WithoutWeftSaysHowToGetIt) {
  if (std::filesystem::exists("/usr/sbin/weftd")) GTEST_SKIP() << "weft is installed here";
  NodeSpec node;
  node.name = "h1";
  node.image = "weft";
  EXPECT_EQ(image_for(node, "/nowhere").error().message,
            "node h1: image weft: needs weftd: build it (looked in /nowhere) or name its folder");
}

}  // namespace
}  // namespace weft::lab
