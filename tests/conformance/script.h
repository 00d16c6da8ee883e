// A session as data: what happens to a speaker line by line, and all that it does about it. A
// *.script file reads
//
//   # RFC 4271 8.2.2: why this case is there
//   peer: passive hold-time=9                 (optional; words of `settings` in script.cc)
//   script:
//   accept                                    (the peer connects; connections count from 1)
//   1 open hold=9                             (connection 1 brings a message)
//   after 9s
//   out:
//   > accept                                  (each line, and below it what came of it)
//
// The lines: accept · opened N · failed N · closed N · after Ns · originate PREFIX · shutdown TEXT
// · start · link-down · route PREFIX · N open [as=A] [hold=H] [id=ID] [capability…] · N keepalive ·
// N announce PREFIX [community=C] · N withdraw PREFIX · N end-of-rib FAMILY · N refresh|begin|end
// FAMILY · N notification CODE SUBCODE · N hex OCTETS.
#pragma once

#include <string>

namespace weft::bgp {

/// `head`: the file up to the line "out:".
std::string transcript(const std::string& head);

}  // namespace weft::bgp
