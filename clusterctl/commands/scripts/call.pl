use strict; use Socket; use Fcntl; use IO::Select;
my ($me, $secs, $token, @words) = @ARGV;
alarm $secs + 2; $| = 1;
sub now { open my $f, '<', '/proc/uptime' or die; (split ' ', <$f>)[0] }
sub to { my ($ip, $port) = @_; pack_sockaddr_in($port, inet_aton($ip)) }
sub open_socket {
  my ($type, $proto) = @_;
  socket(my $s, PF_INET, $type, $proto) or return;
  bind($s, to($me, 0)) or return;
  fcntl($s, F_SETFL, fcntl($s, F_GETFL, 0) | O_NONBLOCK);
  return $s;
}
my @tasks = map { my ($kind, $ip, $port, $size) = split /:/;
  { word => $_, kind => $kind, ip => $ip, port => $port, size => $size, tries => 0, next => 0, seen => 'nothing was sent' } } @words;
my $start = now(); my $end = $start + $secs;
my ($raw, $id, %echo) = (undef, $$ & 0xffff);
sub failed { my ($t, $why) = @_; $t->{seen} = $why }
sub yes { my ($t, $what) = @_; ($t->{ok}, $t->{done}, $t->{seen}) = (1, 1, $what) }
sub drop { my ($t) = @_; return unless $t->{s}; setsockopt($t->{s}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)) unless $t->{kind} eq 'tcp' && $t->{size}; close delete $t->{s} }

sub tcp {  # a connection that is not there after 0.5 s is tried anew; one that was reset (104) was there
  my ($t, $now) = @_;
  if ($t->{s}) {
    my ($w, $x) = ('', ''); vec($w, fileno $t->{s}, 1) = 1;
    if (select(undef, $w, undef, 0)) {
      my $error = unpack 'i', getsockopt($t->{s}, SOL_SOCKET, SO_ERROR);
      if ($error && $error != 104) { $! = $error; failed($t, "$!"); $t->{next} = $now + 0.15 } else { yes($t, 'connected') }
      drop($t);
    } elsif ($now - $t->{at} > 0.5) { failed($t, 'no answer'); drop($t) }
    return if $t->{s} || $t->{done};
  }
  return if $now < $t->{next};
  $t->{s} = open_socket(SOCK_STREAM, 0) or return failed($t, "$!");
  $t->{tries}++; $t->{at} = $now;
  failed($t, 'no answer') if $t->{tries} == 1;
  unless (connect($t->{s}, to($t->{ip}, $t->{port})) || $!{EINPROGRESS}) { failed($t, "$!"); drop($t); $t->{next} = $now + 0.15 }
}

sub udp {  # `gossip`: memberlist's ping, which serf answers; a nameless one is for whoever gets it
  my ($t, $now) = @_;
  unless ($t->{s}) {
    $t->{s} = open_socket(SOCK_DGRAM, 0) or return failed($t, "$!");
    connect($t->{s}, to($t->{ip}, $t->{port})) or return failed($t, "$!");
  }
  if (defined recv($t->{s}, my $data, 2000, 0)) { yes($t, 'answered') if length $data; return }
  elsif (!$!{EAGAIN}) { failed($t, "$!") }
  return if $now < $t->{next};
  my $text = $t->{kind} eq 'udp' ? "$token $me" : "\x00\x82\xa5SeqNo\x07\xa4Node\xa0";
  $t->{tries}++; $t->{next} = $now + 0.1;
  if (!defined send($t->{s}, $text, 0)) { failed($t, "$!") } elsif ($t->{tries} == 1) { failed($t, 'no answer') }
}

sub burst {  # packets that are no VXLAN: the kernel counts them, then throws them away
  my ($t, $now) = @_;
  return if $now < ($t->{next} ||= $start + 0.1);
  $t->{s} ||= open_socket(SOCK_DGRAM, 0) or return failed($t, "$!");
  my $sent = grep { defined send($t->{s}, "\0" x 8, 0, to($t->{ip}, $t->{port})) } 1 .. $t->{size};
  return failed($t, "$!") if $sent < $t->{size};
  $t->{next} = $now + 0.09;
  yes($t, 'sent') if ++$t->{tries} >= 8;
}

sub sum { my $s = unpack '%32n*', $_[0] . (length($_[0]) % 2 ? "\0" : ''); $s = ($s >> 16) + ($s & 0xffff) while $s >> 16; ~$s & 0xffff }
sub echo {
  my ($t, $size) = @_;
  my $body = "\0" x ($size - 28);
  my $packet = pack('CCnnn', 8, 0, 0, $id, $size) . $body;
  send($raw, pack('CCnnn', 8, 0, sum($packet), $id, $size) . $body, 0, to($t->{ip}, 0));
}
sub mtu {  # ten sizes at once, twice; then those between the largest that came and the next
  my ($t, $now) = @_;
  unless ($raw) {
    $raw = open_socket(SOCK_RAW, 1) or return failed($t, "no raw socket: $!");
    setsockopt($raw, 0, 10, pack('i', 3));  # IP_MTU_DISCOVER, IP_PMTUDISC_PROBE: do not fragment
  }
  while (my $who = recv($raw, my $data, 2000, 0)) {
    my $head = (ord($data) & 15) * 4;
    my ($type, $code, $sum, $theirs, $size) = unpack 'CCnnn', substr $data, $head, 8;
    $echo{inet_ntoa((unpack_sockaddr_in($who))[1])}{$size} = 1 if $type == 0 && $theirs == $id;
  }
  my $came = $echo{$t->{ip}} || {};
  my ($low) = sort { $b <=> $a } keys %$came;
  return yes($t, $low) if $low && $low >= $t->{size};
  if (!$t->{sizes}) { $t->{sizes} = [576, 800, 1000, 1200, 1280, 1350, 1400, 1450, 1480, $t->{size}] }
  elsif ($now < $t->{next}) { return }
  elsif ($low && $t->{tries} >= 2) {
    my ($high) = sort { $a <=> $b } grep { $_ > $low } @{ $t->{sizes} }, $t->{size};
    return yes($t, $low) if $high - $low <= 1;
    $t->{sizes} = [map { $low + int(($high - $low) * $_ / 10) } 1 .. 9]; push @{ $t->{sizes} }, $high; $t->{tries} = 0;
  }
  failed($t, $low || 'no answer');
  $t->{tries}++; $t->{next} = $now + 0.2;
  echo($t, $_) for grep { !$came->{$_} } @{ $t->{sizes} };
}

my %how = (tcp => \&tcp, udp => \&udp, gossip => \&udp, burst => \&burst, mtu => \&mtu);
while ((my $now = now()) < $end) {
  my @open = grep { !$_->{done} } @tasks or last;
  $how{$_->{kind}}->($_, $now) for @open;
  my $r = ''; vec($r, fileno $_->{s}, 1) = 1 for grep { $_->{s} && $_->{kind} ne 'tcp' } @open;
  vec($r, fileno $raw, 1) = 1 if $raw;
  my $w = ''; vec($w, fileno $_->{s}, 1) = 1 for grep { $_->{s} && $_->{kind} eq 'tcp' } @open;
  select($r, $w, undef, 0.02);
}
print "call $_->{word} ", $_->{ok} ? 'ok' : 'no', " $_->{tries} $_->{seen}\n" for @tasks;
print "end\n";
