// weft-ipam: what a main plugin executes that makes links by itself and takes addresses from here.
#include "cni/ipam_plugin.h"
#include "cni/program.h"

int main() {
  using namespace weft;
  return cni::run({"weft-ipam", cni::Role::ipam, cni::serve_ipam});
}
