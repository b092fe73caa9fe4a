use strict; use Socket; use IO::Socket::INET; use IO::Select;
my ($me, $secs, $token, $sizes, $peers, @ports) = @ARGV;
alarm $secs + 2; $| = 1;
sub now { open my $f, '<', '/proc/uptime' or die; (split ' ', <$f>)[0] }
sub count { open my $f, '<', '/proc/net/snmp' or return 0; my ($u) = grep { /^Udp: \d/ } <$f>; (split ' ', $u)[1] }
my %peer = map { $_ => 1 } split /,/, $peers;
my %wanted = map { $_ => 0 } split /,/, $sizes;
my (%at, %heard, @steps, @kept); my $all = IO::Select->new;
for (@ports) {
  my ($proto, $port) = split /:/;
  my $s = IO::Socket::INET->new(LocalAddr => $me, LocalPort => $port, Proto => $proto,
    $proto eq 'tcp' ? (Listen => 64, ReuseAddr => 1) : ());
  if ($s) { $s->blocking(0); $all->add($s); $at{$s} = "$proto $port"; print "bound $proto $port\n" }
  else { print "held $proto $port $!\n" }
}
my ($end, $done, $last, $step) = (now() + $secs, 0, count(), 0);
while ((my $now = now()) < $end) {
  for my $s ($all->can_read(%wanted ? 0.005 : 0.1)) {
    my $from;
    if ($at{$s} =~ /^tcp/) {
      my ($c, $who) = $s->accept or next;
      $from = inet_ntoa((unpack_sockaddr_in($who))[1]); setsockopt($c, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)); push @kept, $c;
    } else {
      my $who = $s->recv(my $data, 200) or next;
      (my $said, $from) = split ' ', $data;
      next unless $said eq $token; $s->send($token, 0, $who);
    }
    $heard{"$at{$s} $from"} = 1 if $peer{$from};
  }
  if (%wanted) {
    my $count = count();
    if ($count > $last) { $step += $count - $last; $last = $count }
    elsif ($step) { push @steps, $step; for (keys %wanted) { $wanted{$_}++ if $step >= $_ && $step < $_ + 5 } $step = 0 }
  }
  # A little longer, for answers that are still under way.
  my $rest = grep { $_ < 4 } values %wanted;
  if (keys %heard >= keys(%peer) * keys(%at) && !$rest) { $done ||= $now; last if $now - $done > 0.15 }
}
push @steps, $step if $step;
print "heard $_\n" for sort keys %heard;
print "steps @steps\n" if %wanted;
print "end\n";
