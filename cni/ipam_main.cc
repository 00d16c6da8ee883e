// weft-ipam: what a main plugin executes that makes links by itself and takes addresses from here.
#include "cni/ipam_plugin.h"
#include "cni/program.h"

int main() {
  return weft::cni::run(weft::cni::ipam_plugin());
}
