// Whether a request's Host is a name that nobody else can lead a browser here by.
//
// A page of another site may have its own name answered with 127.0.0.1 once it is loaded (DNS
// rebinding): what it asks for then comes to a server on the visitor's machine, and the browser
// takes the two for one site. What gives that away is the Host, which stays that name.
#ifndef LUNETTE_HTTP_OWN_HOST_H
#define LUNETTE_HTTP_OWN_HOST_H

#include "base/str.h"

// host[:port] as sent. True for IP addresses, of which no DNS is asked; for localhost and all
// beneath it (RFC 6761 §6.3); and for those of names, each with a newline behind it, in lower case:
// "*.example.com" is all beneath example.com. False for an empty one.
bool own_host(struct str authority, struct str names);

#endif
